"""What the manuals of common libraries say about which parameters count together.

Only what a manual says is here, and only where somebody would search for both. What it leaves open counts always:
XGBoost's linear booster, too, has an `eta`.
"""

from __future__ import annotations

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
    by_name = {name: frozenset(having.split()) for having, names in counts.items() for name in names.split()}
    return Manual(frozenset(values.split()), by_name)


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
