"""Makes golden/learners.json: what scikit-learn learns from invented rows, for tests/features/learners.test.ts.
  python tests/features/make-golden.py"""
import json
import warnings
from pathlib import Path

import numpy as np
import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

warnings.filterwarnings("error")
rng = np.random.default_rng(7)
N, M, C, K, L = 240, 40, 6, 3, 4
# Features that depend on each other and are not about zero, as those of language models are.
mix = rng.normal(size=(C, C))
rows = (rng.normal(size=(N + M, C)) @ mix + rng.normal(size=C) * 3).astype(np.float32)
# A row twice: distances of zero.
rows[N] = rows[3]
rows[N + 1] = rows[5]
X, T = rows[:N].astype(float), rows[N:].astype(float)
centred = (rows - rows.mean(0)) / rows.std(0)
noise = rng.normal(size=(N + M, K))
scores = centred @ rng.normal(size=(C, K)) + noise
classes = scores.argmax(1)[:N]
binary = (scores[:, 0] > 0.4).astype(int)[:N]
labels = (centred @ rng.normal(size=(C, L)) + rng.normal(size=(N + M, L)) > 0.5).astype(int)[:N]
numbers = np.round(40 + 5 * (centred @ rng.normal(size=C)) + rng.normal(size=N + M), 4)[:N]
weights = {"binary": [1.0, 2.5], "classes": [0.5, 1.0, 3.0], "labels": [1.0, 4.0, 0.5, 2.0]}
targets = {"binary": binary, "classes": classes}

cases = []


def add(learner, problem, settings, expected, weighted=False, standardize=False):
    cases.append({"learner": learner, "problem": problem, "settings": settings, "weighted": weighted, "standardize": standardize,
                  **{k: np.asarray(v, dtype=float).round(9).tolist() for k, v in expected.items()}})


def linear(m, A=X):
    return {"weight": m.coef_, "bias": m.intercept_}


lr = dict(tol=1e-12, max_iter=100_000)
for problem in ("binary", "classes"):
    y, w = targets[problem], dict(enumerate(weights[problem]))
    for C_ in (0.05, 1.0, 20.0):
        for weighted in (False, True):
            m = LogisticRegression(C=C_, class_weight=w if weighted else None, **lr).fit(X, y)
            add("logistic-regression", problem, {"C": C_}, {**linear(m), "shares": m.predict_proba(T)}, weighted)
            s = LinearSVC(dual=False, C=C_, tol=1e-12, max_iter=100_000, class_weight=w if weighted else None).fit(X, y)
            add("linear-svm", problem, {"C": C_}, {**linear(s), "said": s.predict(T)}, weighted)
    scaler = StandardScaler().fit(X)
    m = LogisticRegression(**lr).fit(scaler.transform(X), y)
    add("logistic-regression", problem, {}, {**linear(m), "shares": m.predict_proba(scaler.transform(T))}, standardize=True)
for weighted in (False, True):
    each = [LogisticRegression(class_weight={0: 1, 1: weights["labels"][k]} if weighted else None, **lr).fit(X, labels[:, k]) for k in range(L)]
    add("logistic-regression", "labels", {}, {"weight": [m.coef_[0] for m in each], "bias": [m.intercept_[0] for m in each],
        "shares": np.stack([m.predict_proba(T)[:, 1] for m in each], 1)}, weighted)
    each = [LinearSVC(dual=False, tol=1e-12, max_iter=100_000, class_weight={0: 1, 1: weights["labels"][k]} if weighted else None).fit(X, labels[:, k]) for k in range(L)]
    add("linear-svm", "labels", {}, {"weight": [m.coef_[0] for m in each], "bias": [m.intercept_[0] for m in each]}, weighted)
for alpha in (0.0, 1.0, 30.0):
    m = Ridge(alpha=alpha).fit(X, numbers)
    add("ridge", "numbers", {"alpha": alpha}, {"weight": [m.coef_], "bias": [m.intercept_], "values": m.predict(T)})
for metric in ("euclidean", "cosine"):
    for votes in ("uniform", "distance"):
        how = dict(n_neighbors=7, metric=metric, weights=votes, algorithm="brute")
        own = {"neighbours": 7, "metric": metric, "votes": votes}
        for problem in ("binary", "classes"):
            m = KNeighborsClassifier(**how).fit(X, targets[problem])
            add("nearest-neighbours", problem, own, {"shares": m.predict_proba(T)})
        m = KNeighborsClassifier(**how).fit(X, labels)
        add("nearest-neighbours", "labels", own, {"shares": np.stack([p[:, 1] for p in m.predict_proba(T)], 1)})
        m = KNeighborsRegressor(**how).fit(X, numbers)
        add("nearest-neighbours", "numbers", own, {"values": m.predict(T)})
trees = dict(max_iter=30, learning_rate=0.2, max_leaf_nodes=8, min_samples_leaf=10, early_stopping=False, l2_regularization=0.5)
own = {"rounds": 30, "learningRate": 0.2, "maxLeaves": 8, "minLeafRows": 10, "l2": 0.5, "bins": 255}
# Splits that gain the same are a matter of the last bit: all classes count differently, so that there are none.
for problem, weighteds in (("binary", (False, True)), ("classes", (True,))):
    for weighted in weighteds:
        w = dict(enumerate(weights[problem])) if weighted else None
        m = HistGradientBoostingClassifier(**trees, class_weight=w).fit(X, targets[problem])
        add("gradient-boosted-trees", problem, own, {"shares": m.predict_proba(T)}, weighted)
each = [HistGradientBoostingClassifier(**trees).fit(X, labels[:, k]) for k in range(L)]
add("gradient-boosted-trees", "labels", own, {"shares": np.stack([m.predict_proba(T)[:, 1] for m in each], 1)})
add("gradient-boosted-trees", "numbers", own, {"values": HistGradientBoostingRegressor(**trees).fit(X, numbers).predict(T)})

out = {"scikit-learn": sklearn.__version__, "features": rows[:N].astype(float).round(9).tolist(), "asked": rows[N:].astype(float).round(9).tolist(),
       "answers": {"binary": binary.tolist(), "classes": classes.tolist(), "labels": labels.tolist(), "numbers": numbers.tolist()},
       "weights": weights, "cases": cases}
path = Path(__file__).parent / "golden" / "learners.json"
path.write_text(json.dumps(out, separators=(",", ":")) + "\n")
print(len(cases), "cases,", path.stat().st_size, "bytes")
