"""A plain server of FastAPI and transformers, the peer of bench/serving.ts: python serving.py KIND FOLDER PORT THREADS [DTYPE]
KIND is completions (streamed as OpenAI does, one thread and one `generate` a request), embeddings or classify."""
import json
import os
import sys
import threading

kind, folder, port, threads = sys.argv[1:5]
dtype = sys.argv[5] if len(sys.argv) > 5 else "float32"
os.environ["OMP_NUM_THREADS"] = threads
import torch
import transformers
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

transformers.utils.logging.set_verbosity_error()
torch.set_num_threads(int(threads))
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token
loader = {
    "completions": transformers.AutoModelForCausalLM,
    "embeddings": transformers.AutoModel,
    "classify": transformers.AutoModelForSequenceClassification,
}[kind]
model = loader.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
if kind == "completions":
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = tokenizer.pad_token_id
app = FastAPI()


class Completion(BaseModel):
    prompt: str
    max_tokens: int


class Inputs(BaseModel):
    input: list[str]


@app.get("/health")
def health():
    return {"status": "ok"}


@app.post("/v1/completions")
def complete(body: Completion):
    inputs = tokenizer(body.prompt, return_tensors="pt")
    streamer = transformers.TextIteratorStreamer(tokenizer, skip_prompt=True)
    settings = dict(inputs, streamer=streamer, max_new_tokens=body.max_tokens, do_sample=False)
    threading.Thread(target=lambda: model.generate(**settings)).start()

    def events():
        for text in streamer:
            if text:
                yield f"data: {json.dumps({'choices': [{'index': 0, 'text': text}]})}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/v1/embeddings")
def embed(body: Inputs):
    inputs = tokenizer(body.input, return_tensors="pt", padding=True, truncation=True)
    with torch.inference_mode():
        hidden = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    vectors = (hidden * mask).sum(1) / mask.sum(1)
    return {"data": [{"index": i, "embedding": vector} for i, vector in enumerate(vectors.tolist())]}


@app.post("/v1/classify")
def classify(body: Inputs):
    inputs = tokenizer(body.input, return_tensors="pt", padding=True, truncation=True)
    with torch.inference_mode():
        probabilities = model(**inputs).logits.softmax(-1)
    return {"data": [{"index": i, "probs": row} for i, row in enumerate(probabilities.tolist())]}


uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error")
