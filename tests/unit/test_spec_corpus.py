"""Bad sweep files: each with the line and the words that its message must have.

`bad_files.txt` has the whole messages, as a terminal shows them, with line and caret. After a change read what
became of them; to write it anew: python tests/unit/test_spec_corpus.py
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sweepyard.controller.spec import explain, read_spec
from sweepyard.errors import SpecError

GOOD = """\
method: {method}
metric: {{name: loss, goal: minimize}}
parameters:
  lr: {{min: 0.1, max: 0.9}}
{more}
"""


def top(more: str, method: str = "random") -> str:
    """A good file with `more` at its top level, from line 5 on."""
    return GOOD.format(method=method, more=more)


def parameter(text: str, method: str = "random") -> str:
    """A file whose only parameter `p`, on line 3, is `text`."""
    return f"method: {method}\nparameters:\n  p: {text}\nmetric: {{name: loss}}\n"


def several(metrics: str) -> str:
    """A good file but for its `metrics`, on line 3, and what follows on line 4."""
    return f"method: random\nparameters: {{a: {{values: [1, 2]}}}}\nmetrics: {metrics}\n"


def named(distribution: str, keys: str) -> str:
    """A file whose only parameter `p`, on line 3, names its distribution."""
    return parameter(f"{{distribution: {distribution}, {keys}}}")


def stop(keys: str) -> str:
    """A good file with `early_terminate` on line 5."""
    return top(f"early_terminate: {{{keys}}}")


BAD: dict[str, tuple[str, int, str]] = {
    # the file as a whole
    "empty": ("", 0, "is empty"),
    "only a comment": ("# nothing\n", 0, "is empty"),
    "empty mapping": ("{}", 1, "is empty"),
    "null": ("null", 1, "is empty"),
    "a list": ("- method: grid", 1, "must be a mapping of keys such as method and parameters, not a list"),
    "a word": ("sweep", 1, "must be a mapping of keys such as method and parameters, not 'sweep'"),
    "a path instead of text": ("configs/sweep.yaml", 1, "not 'configs/sweep.yaml'"),
    "not YAML": ("method: [", 1, "is never closed, or a value is missing"),
    "duplicate key": ("method: grid\nmethod: random", 2, "method: written twice"),
    # method
    "no method": ("parameters: {a: {value: 1}}", 1, "method is missing"),
    "unknown method": ("method: bayesian\nparameters: {a: {values: [1, 2]}}", 1, "did you mean bayes?"),
    "upper-case method": ("method: Grid\nparameters: {a: {value: 1}}", 1, "did you mean grid?"),
    "method tells all choices": (
        "method: x\nparameters: {a: {value: 1}}",
        1,
        "(allowed: grid, random, sobol, bayes, tpe, cmaes, auto)",
    ),
    "cma-es": ("method: cma-es\nparameters: {a: {value: 1}}", 1, "did you mean cmaes?"),
    "tpe without a metric": (
        "method: tpe\nparameters: {a: {min: 0.0, max: 1.0}}",
        1,
        "tpe needs a metric to learn from",
    ),
    "cmaes of constants": (
        "method: cmaes\nmetric: {name: loss}\nparameters: {a: {value: 1}}",
        3,
        "cmaes needs at least one parameter that is not constant",
    ),
    # rules
    "constraints a text": (top("constraints: a < 1"), 5, "needs a list, such as [a, b]"),
    "a constraint that is no text": (top("constraints: [1]"), 5, "each must be an expression in text"),
    "no constraint": (top("constraints: []"), 5, "is an empty list"),
    "a constraint that cannot be read": (
        top("constraints:\n  - lr <"),
        6,
        "constraints[0]: character 5: expected a value",
    ),
    "a constraint on nothing": (
        top("constraints:\n  - lr < 1\n  - lrs < 1"),
        7,
        "no parameter lrs; did you mean lr?",
    ),
    "constraints that leave nothing": (top("constraints: [lr > 1]"), 5, "no point satisfies all constraints"),
    "a constraint that calls": (top("constraints: ['open(lr)']"), 5, "there is no function 'open'"),
    "a constraint that looks inside": (top("constraints: ['lr.__class__ == 1']"), 5, "no parameter lr.__class__"),
    "a bomb": (top("constraints: ['9 ** 9 ** 9 ** 9 < lr']"), 5, "has no value"),
    "when is no text": (parameter("{value: 1, when: true}"), 3, "parameters.p.when: true is not text"),
    "when that cannot be read": (parameter("{value: 1, when: 'a ='}"), 3, "to compare, write =="),
    "when on itself": (parameter("{value: 1, when: p == 1}"), 3, "depends on itself"),
    "when on a stranger": (parameter("{value: 1, when: q == 1}"), 3, "there is no parameter q"),
    "a command with a parameter that is not always there": (
        "method: random\ncommand: ['--m=${m}', '--b=${b}', '--c=${c}']\nparameters:\n"
        "  m: {value: 1, when: a == 1}\n"
        "  a: {values: [1, 2]}\n  b: {expression: m * 2}\n  c: {expression: a * 2}",
        2,
        "command[1]: ${b} is not in every run, because of a condition",
    ),
    "expression and value": (parameter("{expression: '1', value: 2}"), 3, "value: unknown key"),
    "expression that is no text": (parameter("{expression: 4}"), 3, "expression: 4 is not text"),
    "expression that fails": (parameter("{expression: q / 0}\n  q: {value: 1}"), 2, "divides by zero"),
    "a grid too big to filter": (
        "method: grid\nrun_cap: 3\nparameters:\n  a: {min: 1, max: 2000}\n  b: {min: 1, max: 2000, when: a > 5}",
        3,
        "4,000,000 combinations, more than 1,000,000: too many to look through",
    ),
    # initial points
    "initial points a mapping": (top("initial_points: {lr: 0.5}"), 5, "needs a list, such as [a, b]"),
    "an initial point that is none": (top("initial_points: [0.5]"), 5, "each must be a mapping of parameters"),
    "an initial point outside": (
        top("initial_points:\n  - {lr: 0.5}\n  - {lr: 5}"),
        7,
        "initial_points[1].lr: 5 is outside the space: 0.1 to 0.9",
    ),
    "an initial point with a stranger": (
        top("initial_points:\n  - {lr: 0.5, x: 1}"),
        6,
        "initial_points[0].x: is no parameter of this sweep",
    ),
    "an initial point that lacks one": (top("initial_points:\n  - {}"), 6, "initial_points[0].lr: is missing"),
    "an initial point twice": (
        top("initial_points:\n  - {lr: 0.5}\n  - {lr: 0.5}"),
        7,
        "same point as initial_points[0]",
    ),
    "order": (
        top("order: shuffled", "grid").replace("min: 0.1, max: 0.9", "value: 1"),
        5,
        "'shuffled' is not known",
    ),
    "order without a grid": (top("order: listed"), 5, "order: belongs to method grid, not to random"),
    "q far too small": (named("q_uniform", "min: 0, max: 1e300, q: 1e-300"), 3, "q is 1e-300: far too small"),
    "a grid without end": (
        parameter("{min: 1, max: 1000000}\n  q: {min: 1, max: 1000000}", "grid"),
        2,
        "1,000,000,000,000 points, more than 1,000,000: add run_cap",
    ),
    "method empty": ("method:\nparameters: {a: {value: 1}}", 1, "method: nothing is not known"),
    "method a list": ("method: [grid]\nparameters: {a: {value: 1}}", 1, "method: a list is not known"),
    "method a number": ("method: 1\nparameters: {a: {value: 1}}", 1, "method: 1 is not known"),
    "custom": ("method: custom\nparameters: {a: {value: 1}}", 1, "custom is not supported: choose grid"),
    # parameters
    "no parameters": ("method: random", 1, "parameters is missing"),
    "parameters empty": ("method: random\nparameters:", 2, "must be a mapping of parameter names, not nothing"),
    "no parameter in it": ("method: random\nparameters: {}", 2, "is empty: it needs at least one parameter"),
    "parameters a list": (
        "method: random\nparameters: [a]",
        2,
        "mapping of parameter names, not a list",
    ),
    "misspelt parameters": ("method: random\nparamters: {a: {value: 1}}", 2, "did you mean parameters?"),
    "name with a space": ("method: random\nparameters:\n  a b: {value: 1}", 3, "a parameter's name begins with"),
    "name that is a number": ("method: random\nparameters:\n  1: {value: 1}", 3, "a parameter's name begins with"),
    "empty name": ("method: random\nparameters:\n  '': {value: 1}", 3, "a parameter's name begins with"),
    "bare list": (
        parameter("[1, 2]"),
        3,
        "not just a list: write values: in front of it",
    ),
    "bare scalar": (parameter("5"), 3, "p: must say what to try, not just 5: write value: in front of it"),
    "bare text": (parameter("adam"), 3, "not just 'adam': write value:"),
    "nothing": (parameter(""), 3, "must say what to try, not just nothing"),
    "empty parameter": (parameter("{}"), 3, "cannot tell the distribution from nothing"),
    "value and values": (parameter("{value: 1, values: [1]}"), 3, "has both value and values"),
    "values not a list": (parameter("{values: 3}"), 3, "p.values: needs a list, such as [a, b], not 3"),
    "values a text": (parameter("{values: 'a,b'}"), 3, "needs a list, such as [a, b], not 'a,b'"),
    "no values": (parameter("{values: []}"), 3, "p.values: is an empty list"),
    "value and a stray key": (parameter("{value: 1, min: 0}"), 3, "p.min: unknown key (constant takes value)"),
    "misspelt values": (parameter("{vlaues: [1]}"), 3, "did you mean values for vlaues?"),
    "misspelt min": (parameter("{minimum: 0, max: 1}"), 3, "did you mean min for minimum?"),
    "only min": (parameter("{min: 0}"), 3, "cannot tell the distribution from min"),
    "only max, named": (named("uniform", "max: 0"), 3, "min is missing"),
    "group without parameters": (
        parameter("{lr: {value: 1}}"),
        3,
        "to nest parameters, put them under",
    ),
    # bounds
    "min above max": (parameter("{min: 2, max: 1}"), 3, "p.min: min 2 is not below max 1"),
    "min equals max": (parameter("{min: 0.5, max: 0.5}"), 3, "min 0.5 is not below max 0.5"),
    "min is text": (parameter("{min: low, max: 1}"), 3, "p.min: 'low' is not a number"),
    "min is true": (parameter("{min: true, max: 1}"), 3, "p.min: true is not a number"),
    "max is a list": (parameter("{min: 0, max: [1]}"), 3, "p.max: a list is not a number"),
    "max is nothing": (parameter("{min: 0, max: }"), 3, "p.max: nothing is not a number"),
    "int_uniform with a fraction": (
        named("int_uniform", "min: 0.5, max: 2"),
        3,
        "p.min: 0.5 is not a whole number",
    ),
    "infinite width": (parameter("{min: -1.0e+308, max: 1.0e+308}"), 3, "too wide"),
    "log of zero": (
        named("log_uniform_values", "min: 0, max: 1"),
        3,
        "p.min: 0 is too small: it must be above 0",
    ),
    "log of a negative": (
        named("inv_log_uniform_values", "min: -1, max: 1"),
        3,
        "must be above 0",
    ),
    "exponent overflow": (named("log_uniform", "min: 1, max: 1000"), 3, "too wide for a float"),
    # the other distributions
    "unknown distribution": (named("unifrom", "min: 0, max: 1"), 3, "did you mean uniform?"),
    "distribution of others": (
        named("loguniform", "min: 1, max: 2"),
        3,
        "mean log_uniform_values",
    ),
    "distribution not text": (
        named("5", "min: 0, max: 1"),
        3,
        "5 is no distribution",
    ),
    "stray q": (
        named("uniform", "min: 0, max: 1, q: 1"),
        3,
        "p.q: unknown key (uniform takes min",
    ),
    "q without distribution": (
        parameter("{min: 0, max: 8, q: 2}"),
        3,
        "q without a distribution beside it, such as q_uniform",
    ),
    "q of zero": (named("q_uniform", "min: 0, max: 8, q: 0"), 3, "p.q: 0 is too small"),
    "q wider than the range": (
        named("q_uniform", "min: 0.1, max: 0.5"),
        3,
        "q is 1, but the range is only 0.4 wide",
    ),
    "mu without distribution": (parameter("{mu: 0, sigma: 1}"), 3, "mu and sigma without a distribution"),
    "negative sigma": (named("normal", "sigma: -1"), 3, "p.sigma: -1 is too small"),
    "overflowing log_normal": (named("log_normal", "mu: 800"), 3, "would overflow"),
    "beta of zero": (named("beta", "a: 0"), 3, "p.a: 0 is too small"),
    "a and b alone": (parameter("{a: 1, b: 2}"), 3, "such as beta, q_beta"),
    "probabilities too few": (
        parameter("{values: [1, 2], probabilities: [1.0]}"),
        3,
        "1 probabilities for 2",
    ),
    "probabilities not 1": (
        parameter("{values: [1, 2], probabilities: [0.5, 0.6]}"),
        3,
        "add up to 1.1",
    ),
    "negative probability": (parameter("{values: [1, 2], probabilities: [-0.5, 1.5]}"), 3, "-0.5 is too small"),
    "probabilities a number": (parameter("{values: [1, 2], probabilities: 1}"), 3, "needs a list"),
    "probabilities alone": (parameter("{probabilities: [1.0]}"), 3, "cannot tell the distribution"),
    # nesting
    "group with a distribution": (
        parameter("{parameters: {x: {value: 1}}, distribution: uniform}"),
        3,
        "takes only",
    ),
    "empty group": (parameter("{parameters: {}}"), 3, "p.parameters: is empty"),
    "group of a list": (parameter("{parameters: [x]}"), 3, "p.parameters: must be a mapping of parameter names"),
    "deep range": (
        "method: random\nparameters:\n  a:\n    parameters:\n      b:\n        min: 3\n        max: 2\n",
        6,
        "parameters.a.parameters.b.min: min 3 is not below max 2",
    ),
    # metric
    "goal max": (top("").replace("minimize", "max"), 2, "metric.goal: 'max' is not known; did you mean maximize?"),
    "goal maximise": (top("").replace("minimize", "maximise"), 2, "did you mean maximize?"),
    "goal min": (top("").replace("minimize", "min"), 2, "did you mean minimize?"),
    "metric a word": ("method: random\nmetric: loss\nparameters: {a: {value: 1}}", 2, "metric: must be a mapping"),
    "metric without name": (
        "method: random\nmetric: {goal: minimize}\nparameters: {a: {value: 1}}",
        2,
        "name is",
    ),
    "metric with a space": (top("").replace("name: loss", "name: 'loss '"), 2, "begins or ends with a space"),
    "metric name a number": (top("").replace("name: loss", "name: 1"), 2, "1 is not text: put quotes around it"),
    "metric name empty": (top("").replace("name: loss", "name: ''"), 2, "metric.name: is empty"),
    "misspelt goal": (top("").replace("goal", "gaol"), 2, "metric.gaol: unknown key; did you mean goal?"),
    "target a word": (
        top("").replace("goal: minimize", "target: best"),
        2,
        "target: 'best' is not a number",
    ),
    "impute": (top("").replace("goal: minimize", "impute: mean"), 2, "(allowed: best, worst, latest)"),
    "metric and metrics": (top("metrics: [{name: a}, {name: b}]"), 2, "metric: stands beside metrics: keep one"),
    "one of metrics": (several("[{name: a}]"), 3, "metrics: needs a list of two metrics or more"),
    "metrics in a mapping": (several("{a: minimize}"), 3, "metrics: needs a list of two metrics or more"),
    "a metric twice": (several("[{name: a}, {name: b}, {name: a}]"), 3, "metrics: a is in it 2 times"),
    "a metric of several without a goal": (
        several("[{name: a}, {name: b, goal: up}]"),
        3,
        "metrics[1].goal: 'up'",
    ),
    "a target of several": (several("[{name: a, target: 1}, {name: b}]"), 3, "metrics[0].target: unknown key"),
    "metrics and early termination": (
        several("[{name: a}, {name: b}]\nearly_terminate: {type: hyperband, min_iter: 3}"),
        4,
        "early_terminate: judges by one metric",
    ),
    "metrics and repeat": (several("[{name: a}, {name: b}]\nrepeat: 3"), 4, "repeat: sums up one metric"),
    "summary": (top("").replace("goal: minimize", "summary: avg"), 2, "(allowed: last, min, max, best, mean)"),
    # repeats, budgets, retries
    "repeat a word": (top("repeat: often"), 5, "repeat.times: 'often' is not a number"),
    "repeat nothing": (top("repeat: {objective: mean}"), 5, "repeat: times is missing"),
    "repeat 0": (top("repeat: 0"), 5, "0 is too small: it must be at least 1"),
    "repeat too often": (top("repeat: {times: 1e6}"), 5, "must be at most 1000"),
    "repeat by what": (top("repeat: {times: 2, objective: max}"), 5, "(allowed: mean, median, worst)"),
    "repeat and a population": (
        top("early_terminate: {type: population, size: 4, interval: 2, resource: epoch}\nrepeat: 3"),
        6,
        "repeat: does not go with a population",
    ),
    "repeat and promotion": (
        top("repeat: 3\nearly_terminate: [{type: nan, resource: e}, {type: asha, promote: true, resource: e}]"),
        5,
        "repeat: does not go with promote: true",
    ),
    "repeat over a parameter": (
        top("repeat: {times: 2, seed: lr}"),
        5,
        "as lr, which is a parameter: name another",
    ),
    "repeat under no name": (top("repeat: {times: 2, seed: a b}"), 5, "a parameter's name begins with"),
    "misspelt times": (top("repeat: {time: 2}"), 5, "repeat.time: unknown key; did you mean times?"),
    "budget a number": (top("budget: 3"), 5, "budget: must be a mapping, not 3"),
    "budget of nothing": (top("budget: {}"), 5, "limits nothing: give runs, hours or failures"),
    "budget of no time": (top("budget: {hours: 0}"), 5, "hours: 0 is too small: it must be above 0"),
    "budget of half a failure": (top("budget: {failures: 0.5}"), 5, "failures: 0.5 is not a whole number"),
    "misspelt hours": (top("budget: {hour: 3}"), 5, "budget.hour: unknown key; did you mean hours?"),
    "two caps": (top("run_cap: 5\nbudget: {runs: 6}"), 6, "budget.runs: run_cap says the same, and says 5"),
    "stalled at once": (top("stall_after_s: 0"), 5, "0 is too small: it must be above 0"),
    "stalled after a word": (top("stall_after_s: 10m"), 5, "'10m' is not a number"),
    "retry a number": (top("retry: 1"), 5, "retry: must be a mapping, not 1"),
    "retry below nothing": (top("retry: {max: -1}"), 5, "-1 is too small"),
    "retry on what": (top("retry: {on: [oom]}"), 5, "'oom' is not known (allowed: crashed, preempted, failed)"),
    "retry on a word": (top("retry: {on: failed}"), 5, "needs a list of crashed, preempted, failed, not 'failed'"),
    "a name of the wrong kind": (top("run_name: 3"), 5, "run_name: 3 is not text: put quotes around it"),
    "a name with a stranger": (top("run_name: 'lr{lrs}'"), 5, "run_name: {lrs} is no parameter; did you mean lr?"),
    "a name that looks inside": (top("run_name: '{lr.real}'"), 5, "{lr.real} is no parameter"),
    "a name with an index": (top("run_name: '{lr[0]}'"), 5, "{lr[0]} is no parameter"),
    "a name that does not end": (top("run_name: 'lr{lr'"), 5, "a brace is not closed, or not opened"),
    "a name with a conversion": (top("run_name: '{lr!r}'"), 5, "leave out the !r"),
    "a name as wide as a house": (top("run_name: '{lr:9999}'"), 5, "the format '9999' is too long"),
    "a name that does not fit": (top("run_name: '{lr:d}'"), 5, "the value 0.5 has no such format"),
    "the same name for all": (top("run_name: mine"), 5, "has no {parameter} in it"),
    # zip
    "zip of one": (top("zip: [lr]"), 5, "needs at least two parameters that move together"),
    "zip a word": (top("zip: lr"), 5, "zip: needs a list, such as [a, b], not 'lr'"),
    "zip twice": (top("zip: [[lr, a], [b, lr]]"), 5, "zip: lr is in it twice"),
    "zip of a stranger": (top("zip: [lr, lrs]"), 5, "zip: there is no parameter lrs; did you mean lr?"),
    "zip of a range": (
        top("zip: [lr, w]").replace("max: 0.9}", "max: 0.9}\n  w: {values: [1]}"),
        6,
        "lr is uniform",
    ),
    "zip of both forms": (top("zip: [[lr, a], b]"), 5, "such as [width, lr], not 'b'"),
    # what W&B says only at the first run
    "grid over a range": (parameter("{min: 0.0, max: 1.0}", "grid"), 3, "p: uniform has no list of points"),
    "grid names the four kinds": (
        parameter("{distribution: normal}", "grid"),
        3,
        "(allowed: constant, categorical, int_uniform, q_uniform): give values, int_uniform or q_uniform",
    ),
    "grid with probabilities": (
        parameter("{values: [1, 2], probabilities: [0.5, 0.5]}", "grid"),
        3,
        "categorical_w_probabilities has no list",
    ),
    "grid over a nested range": (
        parameter("{parameters: {x: {min: 0.0, max: 1.0}}}", "grid"),
        3,
        "parameters.p.parameters.x: uniform has no list",
    ),
    "bayes without metric": ("method: bayes\nparameters:\n  a: {values: [1, 2]}", 1, "bayes needs a metric"),
    "bayes with constants": (parameter("{value: 1}", "bayes"), 2, "at least one parameter that is not constant"),
    "hyperband without metric": (
        "method: random\nparameters:\n  a: {value: 1}\nearly_terminate: {type: hyperband, min_iter: 3}",
        4,
        "early_terminate: needs a metric to judge by",
    ),
    # early_terminate
    "no type": (stop("min_iter: 3"), 5, "early_terminate: type is missing"),
    "other type": (
        stop("type: envelope, min_iter: 3"),
        5,
        "'envelope' is not known (allowed: hyperband, asha, ",
    ),
    "misspelt type": (stop("type: hyperbnd, min_iter: 3"), 5, "did you mean hyperband?"),
    "hyperband as a word": (
        top("early_terminate: hyperband"),
        5,
        "must be a mapping, not 'hyperband'",
    ),
    "neither form": (stop("type: hyperband"), 5, "needs min_iter, or max_iter and s"),
    "min_iter 0": (stop("type: hyperband, min_iter: 0"), 5, "it must be at least 1"),
    "min_iter a fraction": (
        stop("type: hyperband, min_iter: 2.5"),
        5,
        "2.5 is not a whole number",
    ),
    "s alone": (stop("type: hyperband, s: 2"), 5, "needs min_iter, or max_iter and s"),
    "s with min_iter": (stop("type: hyperband, s: 2, min_iter: 3"), 5, "s: belongs to max_iter"),
    "max_iter alone": (
        stop("type: hyperband, max_iter: 27"),
        5,
        "needs s, the number of brackets",
    ),
    "s a fraction": (
        stop("type: hyperband, max_iter: 27, s: 2.5"),
        5,
        "2.5 is not a whole number",
    ),
    "no rung": (stop("type: hyperband, max_iter: 2, s: 2"), 5, "no run would ever be judged"),
    "eta 1": (stop("type: hyperband, min_iter: 1, eta: 1"), 5, "must be above 1"),
    "eta huge": (stop("type: hyperband, min_iter: 1, eta: 1e6"), 5, "must be at most 1000"),
    "strict a word": (
        stop("type: hyperband, min_iter: 1, strict: yes"),
        5,
        "neither true nor false",
    ),
    "hyperband min_peers 0": (stop("type: hyperband, min_iter: 1, min_peers: 0"), 5, "it must be at least 1"),
    "reevaluate a word": (stop("type: hyperband, reevaluate: often"), 5, "neither true nor false"),
    "asha brackets alone": (stop("type: asha, brackets: 2"), 5, "brackets: needs max_iter"),
    "asha without a rung": (stop("type: asha, min_iter: 3, max_iter: 3"), 5, "there is no rung"),
    "asha with too many brackets": (
        stop("type: asha, max_iter: 9, brackets: 4"),
        5,
        "give 2 rungs, so up to 3 brackets",
    ),
    "asha with s": (
        stop("type: asha, s: 2"),
        5,
        "s: unknown key (asha takes type, resource, nan, dry_run,",
    ),
    "promote without resource": (
        stop("type: asha, promote: true"),
        5,
        "promote needs resource, the key that says",
    ),
    "promote with brackets": (
        stop("type: asha, brackets: 2, max_iter: 27, promote: true, resource: e"),
        5,
        "brackets: does not go with promote",
    ),
    "population without resource": (
        stop("type: population, size: 4, interval: 2"),
        5,
        "a population needs resource",
    ),
    "population of one": (stop("type: population, size: 1, interval: 2, resource: e"), 5, "size: 1 is too small"),
    "population that tries out": (
        stop("type: population, dry_run: true, size: 4, interval: 2, resource: e"),
        5,
        "dry_run: does not go with a population",
    ),
    "median min_peers a fraction": (stop("type: median, min_peers: 1.5"), 5, "1.5 is not a whole number"),
    "median min_iter negative": (stop("type: median, min_iter: -1"), 5, "it must be at least 0"),
    "patience without its number": (stop("type: patience"), 5, "patience is missing"),
    "patience 0": (stop("type: patience, patience: 0"), 5, "it must be above 0"),
    "threshold without a value": (stop("type: threshold, at: 3"), 5, "value is missing"),
    "threshold of a word": (stop("type: threshold, at: 3, value: low"), 5, "'low' is not a number"),
    "nan as a flag": (stop("nan: true"), 5, "true is not known (allowed: stop)"),
    "resource a number": (stop("type: median, resource: 3"), 5, "put quotes around it"),
    "no rule in the list": (top("early_terminate: []"), 5, "is an empty list"),
    "a word in the list": (top("early_terminate: [nan]"), 5, "early_terminate[0]: must be a mapping"),
    "a bad rule in the list": (
        top("early_terminate: [nan: stop, {type: patience, patience: -1}]"),
        5,
        "early_terminate[1].patience: -1 is too small",
    ),
    "two resources": (
        top("early_terminate: [{type: median, resource: epoch}, {type: median, resource: step}]"),
        5,
        "all rules must count the same resource, not epoch and step",
    ),
    "unknown hyperband key": (stop("type: hyperband, min_itr: 1"), 5, "did you mean min_iter?"),
    # the other top-level keys
    "run_cap 0": (top("run_cap: 0"), 5, "run_cap: 0 is too small: it must be at least 1"),
    "run_cap negative": (top("run_cap: -5"), 5, "-5 is too small"),
    "run_cap a fraction": (top("run_cap: 1.5"), 5, "1.5 is not a whole number"),
    "run_cap a word": (top("run_cap: many"), 5, "'many' is not a number"),
    "run_cap true": (top("run_cap: true"), 5, "true is not a number"),
    "run_cap beyond 64 bits": (top("run_cap: 1e30"), 5, "needs more than 64 bits"),
    "seed negative": (top("seed: -1"), 5, "seed: -1 is too small"),
    "name a number": (top("name: 2024"), 5, "name: 2024 is not text: put quotes around it"),
    "name empty": (top("name: ''"), 5, "name: is empty"),
    "project with a slash": (top("project: a/b"), 5, "cannot name it"),
    "entity with a question mark": (top("entity: a?"), 5, "cannot name it"),
    "program a list": (top("program: [train.py]"), 5, "program: a list is not text"),
    "command a text": (
        top("command: python train.py"),
        5,
        "command: needs a list, such as [a, b], not 'python train",
    ),
    "command empty": (top("command: []"), 5, "command: is an empty list"),
    "command with a number": (top("command: [python, 5]"), 5, "each item must be text: put quotes around 5"),
    "unknown macro": (
        top('command: ["${agrs}"]'),
        5,
        "command[0]: no macro and no parameter is called 'agrs'",
    ),
    "unknown macro within": (top("command: [sh, -c, 'cd ${HOME}']"), 5, "a literal ${HOME} is written $${...}"),
    "list macro within": (top('command: ["x=${args}"]'), 5, "command[0]: ${args} becomes several arguments"),
    "unknown key": (top("foo: 1"), 5, "foo: unknown key (allowed: method, parameters, metric, metrics"),
    "misspelt key": (top("run_caps: 5"), 5, "run_caps: unknown key; did you mean run_cap?"),
    "key of others": (top("early_stopping: {}"), 5, "did you mean early_terminate?"),
    "count": (top("count: 5"), 5, "give --count to an agent, or run_cap"),
    "scheduler": (top("scheduler: {engine: optuna}"), 5, "external schedulers are not supported"),
    "job": (top("job: x"), 5, "launching jobs is not supported"),
    "image_uri": (top("image_uri: x"), 5, "launching images is not supported"),
    "local controller": (
        top("controller: {type: local}"),
        5,
        "only type: cloud, the service itself",
    ),
    "controller a word": (top("controller: local"), 5, "only type: cloud"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_file(case: str) -> None:
    text, line, said = BAD[case]
    with pytest.raises(SpecError) as caught:
        read_spec(text, name="my.yaml")
    shown = [(problem.line, f"{problem.path}: {problem.message}") for problem in caught.value.problems]
    assert any(found == line and said in message for found, message in shown), shown
    assert str(caught.value).startswith("my.yaml: ")
    if line:
        assert f"{line:>6} | {text.splitlines()[line - 1][:40]}" in explain(caught.value, text)


GOLDEN = Path(__file__).with_name("bad_files.txt")


def golden() -> str:
    """The messages of all bad files."""
    return "\n".join(f"== {case}\n{_explained(text)}\n" for case, (text, _, _) in BAD.items())


def _explained(text: str) -> str:
    try:
        read_spec(text, name="my.yaml")
    except SpecError as error:
        return explain(error, text)
    return "no problem"


def test_the_messages_are_the_golden_ones() -> None:
    assert len(BAD) >= 120
    assert golden() == GOLDEN.read_text(), "read the difference, then: python tests/unit/test_spec_corpus.py"


def test_a_broken_file_has_one_problem_for_each_mistake() -> None:
    """No mistake hides another, and none is said twice."""
    text = """\
method: bayesian
metric: {nam: loss, goal: max}
parameters:
  a: [1, 2]
  b: {min: 2, max: 1}
  c: {parameters: {d: {distribution: nrmal}}}
early_terminate: {type: hyperband}
run_cap: 0
foo: 1
"""
    with pytest.raises(SpecError) as caught:
        read_spec(text)
    assert [(problem.line, problem.column, problem.path) for problem in caught.value.problems] == [
        (1, 9, "method"),
        (2, 9, "metric"),
        (2, 10, "metric.nam"),
        (2, 27, "metric.goal"),
        (4, 6, "parameters.a"),
        (5, 12, "parameters.b.min"),
        (6, 38, "parameters.c.parameters.d.distribution"),
        (7, 18, "early_terminate"),
        (8, 10, "run_cap"),
        (9, 1, "foo"),
    ]


def test_a_file_full_of_mistakes_stays_readable() -> None:
    text = "method: random\nparameters: {a: {value: 1}}\n" + "".join(f"k{i}: 1\n" for i in range(4000))
    with pytest.raises(SpecError) as caught:
        read_spec(text)
    assert len(caught.value.problems) == 51
    assert str(caught.value).endswith("and 3950 more problems")


if __name__ == "__main__":
    GOLDEN.write_text(golden())
