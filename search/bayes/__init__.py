"""Bayesian search: a Gaussian process and log expected improvement. `searcher` puts its parts together.

Importing it takes a while (scipy): the registry does it only when a sweep needs it.
"""

from sweepyard.search.bayes.recommendation import Recommendation, recommend
from sweepyard.search.bayes.searcher import BayesSearcher

__all__ = ["BayesSearcher", "Recommendation", "recommend"]
