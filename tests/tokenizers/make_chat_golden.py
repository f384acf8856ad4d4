# Renders the conversations of chat-conversations.ts with transformers: for each template and conversation the beginning of the
# SHA-256 of the text, or the message of the error, and the whole text of a few. Run from the root of the repository:
#   node --import tsx tests/tokenizers/chat-conversations.ts | python tests/tokenizers/make_chat_golden.py
import gzip
import hashlib
import json
import pathlib
import sys

from transformers.utils.chat_template_utils import render_jinja_template

given = json.load(sys.stdin)
hashes, whole = {}, {}
for name, template in given["templates"].items():
    hashes[name] = []
    for number, chat in enumerate(given["chats"]):
        variables = dict(chat["variables"])
        tools = variables.pop("tools")
        prompt = variables.pop("add_generation_prompt")
        try:
            rendered, _ = render_jinja_template(
                [chat["messages"]],
                tools=tools,
                chat_template=template,
                add_generation_prompt=prompt,
                bos_token="<s>",
                eos_token="</s>",
                **variables,
            )
            text = rendered[0]
            hashes[name].append(hashlib.sha256(text.encode()).hexdigest()[:12])
        except Exception as error:
            text = f"!{error}"
            hashes[name].append(text)
        if number < 3:
            whole.setdefault(name, []).append(text)
golden = json.dumps({"hashes": hashes, "whole": whole}, ensure_ascii=False, indent=0)
path = pathlib.Path(__file__).parent / "fixtures" / "chats.json.gz"
path.write_bytes(gzip.compress(golden.encode(), mtime=0))
for name, list_ in hashes.items():
    print(name, sum(not one.startswith("!") for one in list_), "texts,", sum(one.startswith("!") for one in list_), "errors")
