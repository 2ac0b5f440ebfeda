"""What the manuals of common libraries say: which parameters count together, and what their defaults are.

Only what a manual says is here, and only what somebody would search for. What it leaves open counts always:
XGBoost's linear booster, too, has an `eta`. A default that depends on the data is no default; where those of
classification and regression differ, it is classification's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Manual:
    """Of one choice: all its `values`, and by the name of another parameter those with which that one `counts`."""

    values: frozenset[str]
    counts: Mapping[str, frozenset[str]]

    def knows(self, value: Any) -> bool:
        return isinstance(value, str) and value in self.values


def _manual(values: str, counts: Mapping[str, str]) -> Manual:
    """`counts`: names by the values that they count with; all with spaces between."""
    by_name = {name: _words(having) for having, names in counts.items() for name in _words(names)}
    return Manual(_words(values), by_name)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _all(names: str, default: Any) -> dict[str, Any]:
    return dict.fromkeys(names.split(), default)


_LIGHTGBM = _manual(
    "gbdt dart rf goss",
    {"dart": "drop_rate skip_drop max_drop uniform_drop xgboost_dart_mode", "goss": "top_rate other_rate"},
)

MANUALS: Mapping[str, Manual] = {
    # XGBoost, "XGBoost Parameters"
    "booster": _manual(
        "gbtree dart gblinear",
        {
            "gbtree dart": "max_depth max_leaves max_bin min_child_weight gamma min_split_loss max_delta_step"
            " subsample sampling_method colsample_bytree colsample_bylevel colsample_bynode tree_method"
            " num_parallel_tree",
            "dart": "rate_drop skip_drop one_drop sample_type normalize_type",
            "gblinear": "feature_selector top_k",
        },
    ),
    # LightGBM, "Parameters"
    "boosting": _LIGHTGBM,
    "boosting_type": _LIGHTGBM,
    # CatBoost, "Common parameters"
    "bootstrap_type": _manual(
        "Bayesian Bernoulli MVS Poisson No",
        {"Bayesian": "bagging_temperature", "Bernoulli MVS Poisson": "subsample"},
    ),
    "grow_policy": _manual(
        "SymmetricTree Depthwise Lossguide",
        {"Depthwise Lossguide": "min_data_in_leaf", "Lossguide": "max_leaves"},
    ),
    # scikit-learn, SVC and SVR; e1071, svm
    "kernel": _manual(
        "linear rbf radial poly polynomial sigmoid",
        {
            "rbf radial poly polynomial sigmoid": "gamma",
            "poly polynomial": "degree",
            "poly polynomial sigmoid": "coef0",
        },
    ),
    # scikit-learn, MLPClassifier and MLPRegressor
    "solver": _manual(
        "lbfgs sgd adam",
        {
            "sgd adam": "learning_rate_init batch_size early_stopping validation_fraction n_iter_no_change",
            "sgd": "momentum nesterovs_momentum power_t",
            "adam": "beta_1 beta_2 epsilon",
        },
    ),
    # scikit-learn, LogisticRegression and SGDClassifier
    "penalty": _manual("l1 l2 elasticnet none", {"elasticnet": "l1_ratio"}),
    # ranger
    "splitrule": _manual(
        "gini extratrees hellinger variance maxstat beta logrank C",
        {"extratrees": "num.random.splits num_random_splits", "maxstat": "alpha minprop"},
    ),
}

UNLIMITED = math.inf
"""The default of a number that nothing bounds: None in Python, -1 or 0 in some libraries."""

_TREE = {
    "max_depth": UNLIMITED,
    "max_leaf_nodes": UNLIMITED,
    "min_samples_split": 2,
    "min_samples_leaf": 1,
    "min_weight_fraction_leaf": 0.0,
    "min_impurity_decrease": 0.0,
    "ccp_alpha": 0.0,
}
_RANGER = {
    "num.trees": 500,
    "min.node.size": 1,
    "replace": True,
    "sample.fraction": 1.0,
    "splitrule": "gini",
    "num.random.splits": 1,
    "respect.unordered.factors": "ignore",
    "alpha": 0.5,
    "minprop": 0.1,
}

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "XGBoost": {
        "booster": "gbtree",
        **_all("eta learning_rate", 0.3),
        **_all("gamma min_split_loss", 0),
        "max_depth": 6,
        "min_child_weight": 1,
        "max_delta_step": 0,
        "subsample": 1,
        "sampling_method": "uniform",
        **_all("colsample_bytree colsample_bylevel colsample_bynode", 1),
        **_all("lambda reg_lambda", 1),
        **_all("alpha reg_alpha", 0),
        "tree_method": "auto",
        "grow_policy": "depthwise",
        "max_leaves": UNLIMITED,
        "max_bin": 256,
        "num_parallel_tree": 1,
        "scale_pos_weight": 1,
        "n_estimators": 100,
        "sample_type": "uniform",
        "normalize_type": "tree",
        **_all("rate_drop skip_drop one_drop", 0),
    },
    "LightGBM": {
        **_all("boosting boosting_type", "gbdt"),
        "learning_rate": 0.1,
        **_all("num_iterations n_estimators", 100),
        "num_leaves": 31,
        "max_depth": UNLIMITED,
        **_all("min_data_in_leaf min_child_samples", 20),
        **_all("min_sum_hessian_in_leaf min_child_weight", 1e-3),
        **_all("bagging_fraction subsample feature_fraction colsample_bytree", 1.0),
        "feature_fraction_bynode": 1.0,
        **_all("bagging_freq subsample_freq", 0),
        **_all("lambda_l1 reg_alpha lambda_l2 reg_lambda", 0.0),
        **_all("min_gain_to_split min_split_gain", 0.0),
        "max_bin": 255,
        "path_smooth": 0.0,
        "extra_trees": False,
        "drop_rate": 0.1,
        "skip_drop": 0.5,
        "max_drop": 50,
        "top_rate": 0.2,
        "other_rate": 0.1,
    },
    "CatBoost": {
        **_all("iterations n_estimators", 1000),
        **_all("depth max_depth", 6),
        **_all("l2_leaf_reg reg_lambda", 3.0),
        "random_strength": 1.0,
        "bagging_temperature": 1.0,
        **_all("rsm colsample_bylevel", 1.0),
        "grow_policy": "SymmetricTree",
        **_all("min_data_in_leaf min_child_samples", 1),
        **_all("max_leaves num_leaves", 31),
    },
    "scikit-learn's decision trees": _TREE | {"criterion": "gini", "max_features": UNLIMITED, "splitter": "best"},
    "scikit-learn's random forests": _TREE
    | {
        "n_estimators": 100,
        "criterion": "gini",
        "max_features": "sqrt",
        "max_samples": UNLIMITED,
        "bootstrap": True,
    },
    "scikit-learn's gradient boosting": _TREE
    | {"learning_rate": 0.1, "n_estimators": 100, "subsample": 1.0, "max_depth": 3, "max_features": UNLIMITED},
    "scikit-learn's histogram gradient boosting": {
        "learning_rate": 0.1,
        "max_iter": 100,
        "max_leaf_nodes": 31,
        "max_depth": UNLIMITED,
        "min_samples_leaf": 20,
        "l2_regularization": 0.0,
        "max_bins": 255,
        "max_features": 1.0,
    },
    "scikit-learn's multilayer perceptron": {
        "hidden_layer_sizes": 100,
        "activation": "relu",
        "solver": "adam",
        "alpha": 1e-4,
        "batch_size": 200,
        "learning_rate": "constant",
        "learning_rate_init": 1e-3,
        "max_iter": 200,
        "momentum": 0.9,
        "power_t": 0.5,
        "beta_1": 0.9,
        "beta_2": 0.999,
        "epsilon": 1e-8,
        "n_iter_no_change": 10,
        "validation_fraction": 0.1,
        "early_stopping": False,
    },
    "scikit-learn's support vector machine": {
        "C": 1.0,
        "kernel": "rbf",
        "degree": 3,
        "gamma": "scale",
        "coef0": 0.0,
        "tol": 1e-3,
        "epsilon": 0.1,
        "nu": 0.5,
        "shrinking": True,
    },
    "scikit-learn's logistic regression": {
        "C": 1.0,
        "penalty": "l2",
        "solver": "lbfgs",
        "tol": 1e-4,
        "max_iter": 100,
        "fit_intercept": True,
    },
    "scikit-learn's linear models by gradient descent": {
        "penalty": "l2",
        "alpha": 1e-4,
        "l1_ratio": 0.15,
        "tol": 1e-3,
        "max_iter": 1000,
        "fit_intercept": True,
    },
    "scikit-learn's elastic net": {"alpha": 1.0, "l1_ratio": 0.5, "tol": 1e-4, "max_iter": 1000},
    "scikit-learn's nearest neighbours": {
        "n_neighbors": 5,
        "weights": "uniform",
        "algorithm": "auto",
        "leaf_size": 30,
        "p": 2,
    },
    "e1071's support vector machine": {
        "cost": 1,
        "kernel": "radial",
        "degree": 3,
        "coef0": 0,
        "tolerance": 1e-3,
        "epsilon": 0.1,
        "nu": 0.5,
        "shrinking": True,
    },
    "ranger": _RANGER | {name.replace(".", "_"): value for name, value in _RANGER.items()},
    "rpart": {"minsplit": 20, "minbucket": 7, "cp": 0.01, "maxdepth": 30},
}
"""By the name of a learner the defaults of its parameters; aliases have the same."""

COMMON = _words(
    "C algorithm alpha activation batch_size cost cp degree depth early_stopping epsilon fit_intercept gamma"
    " iterations lambda learning_rate max_depth maxdepth max_features max_iter max_samples momentum"
    " n_estimators nu p penalty replace solver subsample tol tolerance weights"
)
"""Names that do not tell whose they are: others have them, too."""
