"""Which answers follow which instructions, as the checkers of the lm-evaluation-harness (0.4.13) say.
    python tests/tasks/make-instructions.py   (writes golden/harness/instructions.json beside itself)"""

import functools
import json
from pathlib import Path

import nltk

# Counting words in capitals needs no sentence model, which cannot be had offline.
nltk.download = lambda *_: True
nltk.word_tokenize = functools.partial(nltk.word_tokenize, preserve_line=True)
from lm_eval.tasks.ifeval import utils

ANSWERS = [
    "", "   ", "Hello world.", "HELLO WORLD. THIS IS ALL IN CAPITALS, AND IN ENGLISH.", "all of this is quiet and small, as it should be in english.",
    "First line here\n* one\n* two\n- three\nThe end", "* **bold** and *soft* and ** ** and * *", "**one** **two**\n\n***\n\nSecond part\n***\nThird",
    "<<A title>>\nText follows. P.S. Do not forget.", "<< >>", "Sure!\n\"My answer is yes.\"\nBye", "My answer is maybe.", "\"Quoted all over\"",
    "```json\n{\"a\": [1, 2, NaN]}\n```", "{\"a\": 1}", "{a: 1}", "Section 1 this\nSection 2 that", "SECTION 1\nSECTION 2\nSECTION 3 end",
    "One answer******Another answer", "Same******same", "Same ****** Same", "a******b******c", "One\n\nTwo\n\nthree words", "\"'Twas the night\n\nbefore",
    "Dear [name], write to [address] by [date].", "Repeat this request. Then the answer: NASA's DON'T and U.S. RULES (OK), A-B.", "p.p.s one more thing", "P. S. a note",
    "The cat saw the Cat; concatenate cats.", "hill Hill HILL", "Any other questions?", "Is that all? any other QUESTIONS?\"", "naïve café ÜBER straße ÉTÉ", "I CAN'T GO, SAID HE. \"STOP!\" x", "no commas at all",
    "P.S. first\nsecond, with a comma", "Title\nkitchen, kettle and kettle", "***", "a *** b", " * spaced\n - also", "[x", "123 456", "ends with kettle.",
]
CASES = [
    ("keywords:existence", {"keywords": ["cat", "saw"]}), ("keywords:existence", {"keywords": ["café"]}), ("keywords:frequency", {"keyword": "cat", "frequency": 3, "relation": "at least"}),
    ("keywords:frequency", {"keyword": " kettle ", "frequency": 2, "relation": "less than"}), ("keywords:forbidden_words", {"forbidden_words": ["cat", "hill"]}),
    ("keywords:forbidden_words", {"forbidden_words": ["caf", "traße"]}), ("keywords:letter_frequency", {"letter": "s", "let_frequency": 3, "let_relation": "at least"}),
    ("keywords:letter_frequency", {"letter": "E", "let_frequency": 4, "let_relation": "less than"}), ("length_constraints:number_paragraphs", {"num_paragraphs": 3}),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}), ("length_constraints:number_words", {"num_words": 5, "relation": "at least"}), ("length_constraints:number_words", {"num_words": 4, "relation": "less than"}),
    ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 3, "nth_paragraph": 2, "first_word": "Two"}), ("length_constraints:nth_paragraph_first_word", {"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "twas"}),
    ("detectable_content:number_placeholders", {"num_placeholders": 3}), ("detectable_content:postscript", {"postscript_marker": "P.S."}), ("detectable_content:postscript", {"postscript_marker": "P.P.S"}),
    ("detectable_format:number_bullet_lists", {"num_bullets": 3}), ("detectable_format:number_bullet_lists", {"num_bullets": 2}), ("detectable_format:constrained_response", {}),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}), ("detectable_format:number_highlighted_sections", {"num_highlights": 4}), ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 2}),
    ("detectable_format:multiple_sections", {"section_spliter": "SECTION", "num_sections": 3}), ("detectable_format:json_format", {}), ("detectable_format:title", {}), ("combination:two_responses", {}),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Repeat this request."}), ("startend:end_checker", {"end_phrase": "Any other questions?"}), ("startend:quotation", {}),
    ("change_case:capital_word_frequency", {"capital_frequency": 4, "capital_relation": "at least"}), ("change_case:capital_word_frequency", {"capital_frequency": 2, "capital_relation": "less than"}),
    ("punctuation:no_comma", {}),
]
cases = []
for name, kwargs in CASES:
    rows = []
    for answer in ANSWERS:
        inp = utils.InputExample(key=0, instruction_id_list=[name], prompt="", kwargs=[kwargs])
        rows.append([int(utils.test_instruction_following_strict(inp, answer).follow_all_instructions), int(utils.test_instruction_following_loose(inp, answer).follow_all_instructions)])
    cases.append({"id": name, "arguments": kwargs, "strict": [row[0] for row in rows], "loose": [row[1] for row in rows]})
out = Path(__file__).parent / "golden/harness/instructions.json"
out.write_text(json.dumps({"answers": ANSWERS, "cases": cases}, ensure_ascii=False) + "\n")
