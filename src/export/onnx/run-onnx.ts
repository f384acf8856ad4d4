// An ONNX export in onnxruntime: logits, padded batches and texts that are generated with a cache.

import { appendFile, copyFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CausalLmHead, type Model, Seq2SeqLmHead } from '../../models/index.ts'
import type { OnnxOperators } from '../export-target.ts'
import {
  type ConsumerPackage,
  mixturesOf,
  openConsumer,
  type ProofInput,
  padRows,
  type Runner,
  unpad,
} from '../proof/runner.ts'
import type { ModelGraph } from './layers.ts'
import { modelGraphs } from './model-files.ts'
import { addedOutputs, type GraphPort } from './schema.ts'
import { fileOf, graphFormatOf, type OnnxFormat } from './write-onnx.ts'

type Runtime = typeof import('onnxruntime-node')
type Session = import('onnxruntime-node').InferenceSession
type Value = import('onnxruntime-node').Tensor
type Values = Record<string, Value>

const onnxruntime: ConsumerPackage<Runtime> = {
  name: 'onnxruntime-node',
  // The first with the shapes of inputs.
  oldest: '1.22.0',
  versionOf: ({ env }) => env.versions?.node,
  without: 'The ONNX files were not run',
}

/** onnxruntime, an optional package; undefined where it is not installed or too old, which is noted. */
export const loadRuntime = (note: (line: string) => void) => openConsumer(onnxruntime, note)

/** Feeds of a session, with empty keys and values where none are given. */
const feedsOf = ({ Tensor }: Runtime, session: Session, rows: number, given: Values): Values =>
  Object.fromEntries(
    session.inputMetadata.map((input) => {
      const value = given[input.name]
      if (value !== undefined) return [input.name, value]
      const sizes = input.isTensor ? input.shape : []
      const shape = sizes.map((size) => (typeof size === 'number' ? size : size === 'batch_size' ? rows : 0))
      return [input.name, new Tensor('float32', new Float32Array(0), shape)]
    }),
  )

/** The keys and values that a call gave, as inputs of the next. */
const pastOf = (outputs: Values, keeps: (name: string) => boolean): Values =>
  Object.fromEntries(
    Object.entries(outputs).flatMap(([name, value]) =>
      name.startsWith('present.') && keeps(name) ? [[name.replace('present', 'past_key_values'), value]] : [],
    ),
  )

const interleave = (parts: readonly Float32Array[]): Float32Array =>
  parts.length === 1
    ? parts[0]
    : Float32Array.from(
        { length: parts[0].length * parts.length },
        (_, i) => parts[i % parts.length][Math.floor(i / parts.length)],
      )

/** The scores of a head: one output, or those of an answer's start and end for each token. */
const scoresOf = (outputs: Values): { values: Float32Array; shape: number[] } => {
  const names = ['logits', 'sentence_embedding'].filter((name) => outputs[name] !== undefined).slice(0, 1)
  const found = names.length > 0 ? names : ['start_logits', 'end_logits']
  const shape = [...outputs[found[0]].dims]
  return {
    values: interleave(found.map((name) => outputs[name].data as Float32Array)),
    shape: found.length > 1 ? [...shape, found.length] : shape,
  }
}

/** Opens sessions, runs them, and releases what was opened. */
class OnnxFiles {
  readonly #runtime: Runtime
  readonly #model: Model
  readonly #padId: number | undefined
  readonly #sessions = new Map<string, Session>()

  constructor(runtime: Runtime, model: Model, padId: number | undefined) {
    this.#runtime = runtime
    this.#model = model
    this.#padId = padId
  }

  async open(stem: string, path: string): Promise<void> {
    this.#sessions.set(stem, await this.#runtime.InferenceSession.create(path, { logSeverityLevel: 3 }))
  }

  async release(): Promise<void> {
    for (const session of this.#sessions.values()) await session.release()
  }

  #session(stem: string): Session {
    const session = this.#sessions.get(stem)
    if (session === undefined) throw new Error(`no ONNX file ${stem}`)
    return session
  }

  long(values: readonly number[], shape: readonly number[]): Value {
    return new this.#runtime.Tensor('int64', BigInt64Array.from(values, BigInt), shape)
  }

  flag(value: boolean): Value {
    return new this.#runtime.Tensor('bool', [value], [1])
  }

  async run(stem: string, rows: number, given: Values): Promise<Values> {
    const session = this.#session(stem)
    return (await session.run(feedsOf(this.#runtime, session, rows, given))) as Values
  }

  /** Texts in one padded batch. */
  inputs(texts: readonly ProofInput[]): Values {
    const { ids, mask, typeIds, shape } = padRows(this.#model, texts, this.#padId)
    return {
      input_ids: this.long(ids, shape),
      attention_mask: this.long(mask, shape),
      token_type_ids: this.long(typeIds, shape),
      num_logits_to_keep: this.long([0], []),
    }
  }

  async encode(texts: readonly ProofInput[]): Promise<Values> {
    const given = this.inputs(texts)
    const { last_hidden_state: hidden } = await this.run('encoder_model', texts.length, given)
    return { encoder_hidden_states: hidden, encoder_attention_mask: given.attention_mask }
  }

  /** Outputs of a forward pass over whole texts. */
  async forward(texts: readonly ProofInput[]): Promise<Values> {
    if (!this.#sessions.has('encoder_model')) return this.run('model', texts.length, this.inputs(texts))
    const decoder = texts.flatMap(({ decoderIds = [] }) => decoderIds)
    return this.run('decoder_model_merged', texts.length, {
      ...(await this.encode(texts)),
      input_ids: this.long(decoder, [texts.length, decoder.length / texts.length]),
      use_cache_branch: this.flag(false),
    })
  }
}

const decoderFiles = (files: OnnxFiles, { ids }: ProofInput) => {
  let [past, total]: [Values, number] = [{}, 0]
  return {
    next: async (token?: number) => {
      const given = token === undefined ? ids : [token]
      total += given.length
      const outputs = await files.run('model', 1, {
        ...past,
        input_ids: files.long(given, [1, given.length]),
        attention_mask: files.long(Array(total).fill(1), [1, total]),
        num_logits_to_keep: files.long([1], []),
      })
      past = pastOf(outputs, () => true)
      return Float32Array.from(outputs.logits.data as Float32Array)
    },
    free: async () => {},
  }
}

const encoderDecoderFiles = async (files: OnnxFiles, { ids }: ProofInput, start: number) => {
  const encoded = await files.encode([{ ids }])
  let past: Values = {}
  return {
    next: async (token?: number) => {
      const outputs = await files.run('decoder_model_merged', 1, {
        ...encoded,
        ...past,
        input_ids: files.long([token ?? start], [1, 1]),
        use_cache_branch: files.flag(token !== undefined),
      })
      // Keys and values of the encoder's output are those of the first call, as transformers.js keeps them.
      past = { ...past, ...pastOf(outputs, (name) => token === undefined || name.includes('.decoder.')) }
      return Float32Array.from(outputs.logits.data as Float32Array)
    },
    free: async () => {},
  }
}

/** Values within the graphs, from copies of the files that have them as outputs. @param portsOf those of a graph */
const innerValues = async (
  runtime: Runtime,
  opened: OpenedFiles,
  input: ProofInput,
  portsOf: (graph: ModelGraph) => GraphPort[],
): Promise<Value[]> => {
  const { model, folder, format, padId, operators } = opened
  const files = new OnnxFiles(runtime, model, padId)
  const copies: string[] = []
  let names: string[] = []
  try {
    for (const [stem, build] of modelGraphs(model, graphFormatOf(format, operators))) {
      const ports = portsOf(build())
      const path = join(folder, 'onnx', fileOf(stem, format))
      // Beside the file, since its weights may be in files there.
      const copy = `${path}.layers`
      copies.push(copy)
      await copyFile(path, copy)
      await appendFile(copy, Buffer.concat([...addedOutputs(ports).chunks()]))
      await files.open(stem, copy)
      names = ports.map(({ name }) => name)
    }
    const outputs = await files.forward([input])
    return names.map((name) => outputs[name])
  } finally {
    await files.release()
    for (const copy of copies) await rm(copy, { force: true })
  }
}

/** Outputs of the embeddings and of each layer. */
const hiddenOf = async (runtime: Runtime, opened: OpenedFiles, input: ProofInput): Promise<Float32Array[]> => {
  const width = opened.model.facts.hiddenSize
  const layers = await innerValues(runtime, opened, input, (graph) => graph.layerPorts(width))
  return layers.map(({ data }) => Float32Array.from(data as Float32Array))
}

/** Experts of each token in each mixture. */
const expertsOf = async (runtime: Runtime, opened: OpenedFiles, input: ProofInput): Promise<BigInt64Array[]> => {
  const mixtures = await innerValues(runtime, opened, input, (graph) => graph.expertPorts())
  return mixtures.map(({ data }) => BigInt64Array.from(data as BigInt64Array))
}

interface OpenedFiles {
  model: Model
  folder: string
  format: OnnxFormat
  /** Id of the padding token. */
  padId: number | undefined
  /** Operators of the graphs (default: plain). */
  operators?: OnnxOperators
}

export type OnnxRunner = Runner & { release(): Promise<void> }

/** Opens the ONNX files of a format. */
export const runOnnx = async (
  { module: runtime, consumer }: { module: Runtime; consumer: string },
  opened: OpenedFiles,
): Promise<OnnxRunner> => {
  const { model, folder, format, padId, operators } = opened
  const files = new OnnxFiles(runtime, model, padId)
  for (const stem of modelGraphs(model, graphFormatOf(format, operators)).keys())
    await files.open(stem, join(folder, 'onnx', fileOf(stem, format)))
  const { head, facts } = model
  const decode =
    head instanceof CausalLmHead
      ? async (input: ProofInput) => decoderFiles(files, input)
      : head instanceof Seq2SeqLmHead
        ? (input: ProofInput) => encoderDecoderFiles(files, input, facts.decoderStartTokenId ?? 0)
        : undefined
  return {
    consumer,
    logits: async (input) => Float32Array.from(scoresOf(await files.forward([input])).values),
    batch: async (inputs) => {
      const { values, shape } = scoresOf(await files.forward(inputs))
      return unpad(model, values, shape, inputs)
    },
    ...(decode === undefined ? {} : { decode }),
    hidden: (input) => hiddenOf(runtime, opened, input),
    ...(mixturesOf(model).length > 0 ? { experts: (input: ProofInput) => expertsOf(runtime, opened, input) } : {}),
    release: () => files.release(),
  }
}
