"""Losses and gradients of sentence-transformers for given vectors, and its scores of search.
  python make_similarity.py   (writes similarity.json beside itself)"""
import json
from pathlib import Path

import sentence_transformers
import torch
from sentence_transformers import losses
from sentence_transformers.evaluation import InformationRetrievalEvaluator

torch.manual_seed(3)
COUNT, WIDTH, NEGATIVES = 6, 12, 2
LABELS = [0.1, 0.8, 0.8, -0.5, 1.0, 0.3]


class Given(torch.nn.Module):
    """Stands for a model: gives the vectors that it is given."""

    def forward(self, features):
        return {"sentence_embedding": features["vectors"]}

    def get_embedding_dimension(self):
        return WIDTH

    get_sentence_embedding_dimension = _get_untruncated_embedding_dimension = get_embedding_dimension


def measured(loss, columns, labels):
    parts = [part.clone().requires_grad_() for part in columns]
    value = loss([{"vectors": part} for part in parts], labels)
    value.backward()
    return {"loss": value.item(), "gradients": [part.grad.tolist() for part in parts]}


columns = [torch.randn(COUNT, WIDTH) for _ in range(2 + NEGATIVES)]
labels = torch.tensor(LABELS)
model = Given()
ranking = losses.MultipleNegativesRankingLoss(model)
cases = {
    "pairs": measured(ranking, columns[:2], None),
    "negatives": measured(ranking, columns, None),
    "scale": measured(losses.MultipleNegativesRankingLoss(model, scale=7.5), columns, None),
    "symmetric": measured(losses.MultipleNegativesSymmetricRankingLoss(model), columns[:2], None),
    "symmetric-negatives": measured(losses.MultipleNegativesSymmetricRankingLoss(model), columns[:3], None),
    "triplet": measured(losses.TripletLoss(model), columns[:3], None),
    "triplet-cosine": measured(
        losses.TripletLoss(model, losses.TripletDistanceMetric.COSINE, triplet_margin=0.2), columns[:3], None
    ),
    "cosent": measured(losses.CoSENTLoss(model), columns[:2], labels),
    "cosine": measured(losses.CosineSimilarityLoss(model), columns[:2], labels),
    "dimensions": measured(
        losses.MatryoshkaLoss(model, losses.MultipleNegativesRankingLoss(model), [WIDTH, 5, 3]), columns[:2], None
    ),
}

texts = torch.randn(40, WIDTH)
queries = texts[:25] + 1.6 * torch.randn(25, WIDTH)
evaluator = InformationRetrievalEvaluator(
    {str(i): f"q{i}" for i in range(25)},
    {str(i): f"t{i}" for i in range(40)},
    {str(i): {str(i)} for i in range(25)},
    accuracy_at_k=[1, 10],
    precision_recall_at_k=[1, 10],
    score_functions={"cosine": sentence_transformers.util.cos_sim},
)


class Encoder:
    similarity_fn_name = "cosine"
    similarity = staticmethod(sentence_transformers.util.cos_sim)

    def encode(self, sentences, **_):
        return torch.stack([(queries if one[0] == "q" else texts)[int(one[1:])] for one in sentences])

    encode_query = encode_document = encode


scores = evaluator.compute_all_metrics(Encoder())["cosine"]
golden = {
    "made": f"sentence-transformers {sentence_transformers.__version__}",
    "columns": [column.tolist() for column in columns],
    "labels": LABELS,
    "cases": cases,
    "queries": queries.tolist(),
    "texts": texts.tolist(),
    "scores": {
        "ndcgAt10": scores["ndcg@k"][10],
        "mrrAt10": scores["mrr@k"][10],
        "recallAt1": scores["recall@k"][1],
        "recallAt10": scores["recall@k"][10],
    },
}
(Path(__file__).parent / "similarity.json").write_text(json.dumps(golden) + "\n")
print({name: case["loss"] for name, case in cases.items()}, golden["scores"])
