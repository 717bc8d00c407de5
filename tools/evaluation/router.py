"""TF-IDF and a linear support vector machine: what routes cost without a neural network."""

from __future__ import annotations

from collections.abc import Sequence

from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.svm import LinearSVC

from tools.corpus.annotation import Example

ANY_TOKEN = r"\w+|[^\w\s]"


def train_router(examples: Sequence[Example]) -> Pipeline | None:
    """A pipeline whose ``predict`` takes texts; None when no message has a route."""
    routed = [e for e in examples if e.route]
    if not routed:
        return None
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=ANY_TOKEN)
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    several = len({e.route for e in routed}) > 1
    classifier = LinearSVC(C=1, random_state=0) if several else DummyClassifier()
    pipeline = make_pipeline(make_union(words, pieces), classifier)
    return pipeline.fit([e.text for e in routed], [e.route for e in routed])
