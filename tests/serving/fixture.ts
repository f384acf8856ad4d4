// A tiny language model with a tokenizer and adapters on disk, and the official client of a server for it.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import OpenAI from 'openai'
import { adaptersOf, applyAdapter, saveAdapter } from '../../src/adapters/index.ts'
import { loadTokenizer, saveModel } from '../../src/checkpoint/index.ts'
import { buildModel, type Model, type ModelDefinition, models } from '../../src/models/index.ts'
import { createServer, type RunningServer, type ServerSettings } from '../../src/serving/index.ts'
import { Generator, liveTensors, noGrad } from '../../src/tensor/index.ts'
import {
  CHAT_TEMPLATES,
  saveTokenizer,
  Tokenizer,
  trainTokenizer,
  writeTokenizerFolder,
} from '../../src/tokenizers/index.ts'

export const seaTexts = [
  'The sea was calm and the ship sailed on. The captain looked at the stars, and said nothing.',
  'A storm came in the night; the waves were high, but the old ship held. "Land!" cried the boy.',
  'Grüße aus Köln, señor! 你好 — 🙂 and so on, they wrote in the log of the ship.',
]

/** A chat template that knows tools. */
export const toolTemplate =
  '{% for message in messages %}{{ message.role }}: {{ message.content }}{% if message.tool_calls %}{{ message.tool_calls | tojson }}{% endif %}\n{% endfor %}{% if tools %}{{ tools | tojson }}\n{% endif %}{% if add_generation_prompt %}assistant: {% endif %}'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
/** Live tensors without those that only wait to be collected, which happens at any time. */
export const collectedTensors = async (): Promise<number> => {
  // Finalizers run in later turns of the event loop.
  for (let i = 0; i < 2; i++) {
    collect()
    await setImmediate()
  }
  return liveTensors()
}

export const random = (model: Model, name: string, seed: number): void =>
  noGrad(() => {
    for (const tensor of adaptersOf(model).tensorsOf(name).values())
      tensor.copy_(tensor.add(tensor.clone().normal_(0, 0.3, { generator: new Generator(seed) })))
  })

/** Folders with models; `remove` deletes them. */
export interface ModelFolders {
  folder: string
  /** A llama with a chat template. */
  base: string
  /** LoRA adapters on it. */
  low: string
  other: string
  remove(): void
}

/** A byte-level tokenizer with a chat template. */
const makeTokenizer = async (folder: string, chatTemplate: string = CHAT_TEMPLATES.plain): Promise<string> => {
  const { files } = await trainTokenizer(seaTexts, { type: 'bpe', vocabSize: 330 })
  await writeTokenizerFolder(folder, files)
  const loaded = await loadTokenizer(folder)
  const tokenizer = new Tokenizer(loaded.toJson(), {
    special: () => loaded.special,
    chatTemplate,
    config: { ...loaded.config, chat_template: chatTemplate },
  })
  await saveTokenizer(tokenizer, folder)
  return folder
}

export const makeFolders = async ({
  chatTemplate,
  maxPositions = 256,
}: {
  chatTemplate?: string
  maxPositions?: number
} = {}): Promise<ModelFolders> => {
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-serving-'))
  const tokenizer = await makeTokenizer(join(folder, 'tokenizer'), chatTemplate)
  const { maxId } = await loadTokenizer(tokenizer)
  const definition = models.llama as unknown as ModelDefinition
  const config = definition.adjust(definition.presets.test, { vocabSize: maxId + 1, maxPositions })
  const build = () => buildModel(definition, config, 'causal-lm').initialize({ std: 0.3, generator: new Generator(3) })
  const base = join(folder, 'base')
  await saveModel(build(), base, { tokenizer })
  const saveLora = async (name: string, seed: number) => {
    const model = build()
    const applied = applyAdapter(model, { type: 'lora', rank: 4 }, { name: 'default' })
    random(model, 'default', seed)
    const path = join(folder, name)
    await saveAdapter(applied, path, { base })
    return path
  }
  return {
    folder,
    base,
    low: await saveLora('low', 1),
    other: await saveLora('other', 2),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** A server on a free port, and OpenAI's own client for it. */
export const startServer = async (
  settings: ServerSettings,
  onError: (error: unknown) => void = (error) => console.error(error),
  onNote?: (line: string) => void,
): Promise<{ server: RunningServer; client: OpenAI; url: string }> => {
  const server = await createServer({ port: 0, ...settings }, { onError, onNote })
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: settings.token ?? 'none', maxRetries: 0 })
  return { server, client, url: server.url }
}
