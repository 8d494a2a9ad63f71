"""Are our estimators what scikit-learn calls an estimator, and is what they learn right?"""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from gradstep.estimators import NetworkClassifier, NetworkRegressor, NeuronRegressor

SMALL = {"hidden": (6,), "max_iter": 100}


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [NeuronRegressor(max_iter=100), NetworkRegressor(**SMALL), NetworkClassifier(**SMALL)]
)
def test_scikit_learns_own_checks(estimator, check):
    if check.func.__name__ != "check_array_api_input":  # for those that take arrays of other libraries
        check(estimator)


pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True)


def test_a_linear_neuron_is_linear_regression(diabetes):
    X, y = diabetes
    ours = NeuronRegressor(activation="identity", tol=1e-12).fit(X, y)
    theirs = LinearRegression().fit(X, y)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-5)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-2)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, rel=1e-4)
    assert ours.loss_curve_[-1] <= ours.loss_curve_[0] and ours.loss_ == pytest.approx(ours.loss_curve_[-1])


def test_what_may_be_wrong_is_a_warning_that_names_the_column():
    frame = pytest.importorskip("pandas").DataFrame({"age": np.arange(30.0) % 7, "kind": 1.0})
    with pytest.warns(UserWarning, match="column kind of X: the same in every row"):
        fitted = NeuronRegressor().fit(frame, np.arange(30.0) % 5)
    assert len(fitted.faults_) == 1


def test_weights_are_no_features():
    X, y = load_iris(return_X_y=True)
    weights = 1.0 + (y > 0)  # which the classes follow from
    assert not NetworkClassifier(hidden=()).fit(X, y > 0, sample_weight=weights).faults_


def test_the_article_s_neuron_is_the_default():
    X = np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0], [3.0]])
    fitted = NeuronRegressor().fit(X, np.maximum(0, 2 * X[:, 0] - 1))
    np.testing.assert_allclose(fitted.predict([[-5.0], [4.0]]), [0, 7], atol=1e-6)
    assert fitted.derivation_.certificate.verdict is True and "max(0" in fitted.derivation_.text()


def test_without_hidden_layers_a_classifier_is_logistic_regression():
    X, y = load_iris(return_X_y=True)
    X, y = X[50:], y[50:]
    ours = NetworkClassifier(hidden=(), alpha=0.5 / len(X), tol=1e-12).fit(X, y)
    theirs = LogisticRegression(tol=1e-10, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("labels", [["no", "yes", "maybe"], [3, 1, 2], [2.0, 4.0, 8.0]])
def test_classes_keep_their_names(labels):
    labels = np.array(labels)
    X, y = load_iris(return_X_y=True)
    fitted = NetworkClassifier(hidden=(), alpha=1e-3).fit(X, labels[y])
    chances = fitted.predict_proba(X)
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-12)
    assert fitted.score(X, labels[y]) > 0.95 and list(fitted.classes_) == sorted(labels)


def test_a_loss_of_ones_own(diabetes):
    X, y = diabetes
    spread = NetworkRegressor(loss="mean(abs(y - (X @ w + b)))", optimiser="adam", max_iter=300).fit(X, y)
    assert np.mean(np.abs(y - spread.predict(X))) < np.mean(np.abs(y - np.median(y)))
    shapes = {"W": "d 3", "c": "3", "v": "3"}
    bent = NetworkRegressor(loss="mean((y - (tanh(X @ W + c) @ v + b))**2)", shapes=shapes, max_iter=50)
    assert bent.fit(X, y).parameters_["W"].shape == (10, 3)
    with pytest.raises(ValueError, match="a loss uses X"):
        NetworkRegressor(loss="mean(w**2)").fit(X, y)
    with pytest.raises(ValueError, match="should be equal"):
        NetworkRegressor(loss="mean((y - X @ v)**2)", shapes={"v": "k"}).fit(X, y)


def test_in_pipelines_searches_and_pickles(diabetes):
    X, y = diabetes
    pipe = make_pipeline(StandardScaler(), NeuronRegressor(max_iter=50))
    assert cross_val_score(pipe, X, y, cv=3).mean() > 0.3
    search = GridSearchCV(NeuronRegressor(max_iter=50), {"alpha": [0.0, 0.1]}, cv=2).fit(X, y)
    assert search.best_params_["alpha"] in (0.0, 0.1)
    fitted = pipe.fit(X, y)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict(X), fitted.predict(X))
    own = NetworkRegressor(loss="mean((y - X @ w)**2)", max_iter=50).fit(X, y)
    again = pickle.loads(pickle.dumps(own))
    np.testing.assert_array_equal(again.predict(X), own.predict(X))
    assert again.derivation_.answers["w"] is own.derivation_.answers["w"]
    assert clone(own).get_params() == own.get_params()


def test_weights_are_repetitions(diabetes):
    X, y = diabetes
    weights = np.random.default_rng(0).integers(0, 4, len(y))
    one = NetworkRegressor(hidden=(3,), max_iter=40, random_state=1).fit(X, y, sample_weight=weights)
    other = clone(one).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    with pytest.raises(ValueError, match="non-zero"):
        NeuronRegressor().fit(X, y, sample_weight=np.zeros(len(y)))


def test_partial_fit_goes_on(diabetes):
    X, y = diabetes
    model = NeuronRegressor(activation="identity")
    losses = [model.partial_fit(X, y).loss_ for _ in range(6)]
    assert losses == sorted(losses, reverse=True) and model.n_iter_ == 6 and len(model.loss_curve_) == 7
    classes = NetworkClassifier(hidden=()).partial_fit(X, y > 150, classes=[False, True])
    classes.partial_fit(X[:5], np.zeros(5, bool))
    with pytest.raises(ValueError, match="not among"):
        classes.partial_fit(X, y.round())


def test_names_of_columns_are_kept():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    fitted = NeuronRegressor(max_iter=20).fit(X, y)
    assert list(fitted.feature_names_in_) == list(X.columns)
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(X[X.columns[::-1]])
