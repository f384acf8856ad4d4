// Preset chat templates (Jinja) for tokenizers without one.
// @source the formats: OpenAI's ChatML, Meta's Llama 3, Mistral AI's instruct models, Stanford Alpaca

// Tools are described in the system turn, and calls are JSON between tags, as Hermes and Qwen write them.
const toolPrompt = String.raw`{{ 'You can call these tools, each described by a JSON object:\n<tools>\n' }}{% for tool in tools %}{{ tool | tojson + '\n' }}{% endfor %}{{ '</tools>\n\nTo call one, write:\n<tool_call>\n{"name": NAME, "arguments": OBJECT}\n</tool_call>' }}`

const toolCalls = String.raw`{% for call in message['tool_calls'] or [] %}{% if message['content'] or not loop.first %}{{ '\n' }}{% endif %}{{ '<tool_call>\n{"name": ' + call['function']['name'] | tojson + ', "arguments": ' + call['function']['arguments'] | tojson + '}\n</tool_call>' }}{% endfor %}`

const chatml = String.raw`{% if tools %}{{ '<|im_start|>system\n' }}{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] + '\n\n' }}{% endif %}${toolPrompt}{{ '<|im_end|>\n' }}{% endif %}{% for message in messages %}{% if not (tools and loop.first and message['role'] == 'system') %}{{ '<|im_start|>' + message['role'] + '\n' + (message['content'] or '') }}{% if message['role'] == 'assistant' %}${toolCalls}{% endif %}{{ '<|im_end|>\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}`

const llama3 = `{{ bos_token }}{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}`

// A system message is prepended to the next user message.
const mistral = `{% set ns = namespace(system='') %}{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{% set ns.system = message['content'] + '\\n\\n' %}{% elif message['role'] == 'user' %}{{ '[INST] ' + ns.system + message['content'] + ' [/INST]' }}{% set ns.system = '' %}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] | trim + eos_token }}{% else %}{{ raise_exception('Only the roles system, user and assistant are known.') }}{% endif %}{% endfor %}`

const alpaca = `{% set ns = namespace(begun=false) %}{% for message in messages %}{% if message['role'] == 'system' %}{% set ns.begun = true %}{{ message['content'] + '\\n\\n' }}{% elif message['role'] == 'user' %}{% if not ns.begun %}{% set ns.begun = true %}{{ 'Below is an instruction that describes a task. Write a response that appropriately completes the request.\\n\\n' }}{% endif %}{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}{% elif message['role'] != 'assistant' %}{{ raise_exception('Only the roles system, user and assistant are known.') }}{% else %}{{ '### Response:\\n' + message['content'] + eos_token + '\\n\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}`

const plain = `{% for message in messages %}{% if message['role'] == 'assistant' %}{{ 'Assistant: ' + message['content'] + eos_token + '\\n' }}{% elif message['role'] == 'user' %}{{ 'User: ' + message['content'] + '\\n' }}{% else %}{{ message['content'] + '\\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}`

// No roles: prompt, newline, completion.
const completion = `{% for message in messages %}{{ message['content'] }}{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% if not loop.last or message['role'] != 'assistant' %}{{ '\\n' }}{% endif %}{% endfor %}`

/** Preset chat templates by name, as Jinja source. */
export const CHAT_TEMPLATES = { chatml, llama3, mistral, alpaca, plain, completion } as const

/** Name of a preset chat template. */
export type ChatTemplateName = keyof typeof CHAT_TEMPLATES
