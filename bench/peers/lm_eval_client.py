"""lm-eval's `local-completions` against a server: python lm_eval_client.py URL TOKENIZER RECORDS.jsonl. Records have a context and choices.
Prints the log-likelihood of every choice and the accuracy as one JSON line."""
import json
import sys

from lm_eval import simple_evaluate
from lm_eval.models.openai_completions import LocalCompletionsAPI

url, tokenizer, records = sys.argv[1:4]
model = LocalCompletionsAPI(
    base_url=f"{url}/v1/completions", model="base", pretrained="base", tokenizer=tokenizer, tokenizer_backend="huggingface",
    tokenized_requests=True, num_concurrent=4, max_length=256)
task = {
    "task": "choices", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": records}}, "test_split": "test",
    "output_type": "multiple_choice", "doc_to_text": "context", "doc_to_choice": "choices", "doc_to_target": "answer",
    "target_delimiter": "", "metric_list": [{"metric": "acc"}],
}
found = simple_evaluate(model, tasks=[task], bootstrap_iters=0)
samples = sorted(found["samples"]["choices"], key=lambda sample: sample["doc_id"])
scores = [[float(one[0]) for one in sample["filtered_resps"]] for sample in samples]
print(json.dumps({"scores": scores, "accuracy": found["results"]["choices"]["acc,none"]}))
