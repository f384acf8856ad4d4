// The split patterns of published tokenizers, as written in their tokenizer.json.
// @source the tokenizers of GPT-2, Llama 3, Qwen 2, GPT-4o (o200k), Mistral Nemo (Tekken), DeepSeek-V3 and BLOOM

const CASED = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]'
const UNCASED = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]'
const LLAMA3_START = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|"
const LLAMA3_END = '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
const CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
const PREFIX = '[^\\r\\n\\p{L}\\p{N}]?'
const SPACES = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
/** Split patterns of published tokenizers, by name. */
export const PUBLISHED_PATTERNS = {
  gpt2: "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  llama3: `${LLAMA3_START}\\p{N}{1,3}${LLAMA3_END}`,
  qwen2: `${LLAMA3_START}\\p{N}${LLAMA3_END}`,
  o200k: `${PREFIX}${CASED}*${UNCASED}+${CONTRACTION}|${PREFIX}${CASED}+${UNCASED}*${CONTRACTION}|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`,
  tekken: `${PREFIX}${CASED}*${UNCASED}+|${PREFIX}${CASED}+${UNCASED}*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${SPACES}`,
  deepseek: `[!"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_\`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|${SPACES}`,
  bloom: ' ?[^(\\s|[.,!?…。，、।۔،])]+',
} as const
