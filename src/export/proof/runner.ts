// A program that has opened an export: what every comparison needs of it. Here is our own, and how optional packages are opened: one that is
// missing, or older than what the proof calls, is said in one line. onnxruntime and llama.cpp are in files of their own. Rounding may
// exchange experts of a mixture whose shares are nearly equal, which changes logits by far more than rounding does: a pass with given
// experts can be compared.

import { installCall } from '../../core/index.ts'
import { DecodingBatch, type LanguageModel } from '../../generation/index.ts'
import {
  type BodyInputs,
  type Model,
  MultipleChoiceHead,
  ReplacedTokenDetectionHead,
  writesText,
} from '../../models/index.ts'
import { SparseMlp, withRouting } from '../../nn/index.ts'
import { noGrad, scope, Tensor } from '../../tensor/index.ts'

export const mixturesOf = ({ body }: Model): SparseMlp[] =>
  [...body.modules()].flatMap(([, module]) => (module instanceof SparseMlp ? [module] : []))

/** Experts of each token in each mixture that a forward pass runs, [T,k], by share. */
const chosenExperts = (forward: () => void, perToken: number): BigInt64Array[] => {
  const found: BigInt64Array[] = []
  withRouting((shares) => {
    const [, chosen] = shares.topk(perToken, -1)
    found.push(BigInt64Array.from(chosen.flatten().toArray() as number[], BigInt))
    return undefined
  }, forward)
  return found
}

/** How far a token's experts are from those with the largest shares: 0 for these themselves. */
const slackOf = (shares: Float32Array, taken: ReadonlySet<number>): number => {
  const least = Math.min(...[...taken].map((expert) => shares[expert]))
  const left = Math.max(...[...shares].filter((_, expert) => !taken.has(expert)))
  return Math.max(0, left - least) / Math.max(...shares)
}

/** Runs a forward pass with given experts, and counts the tokens for which the router would have chosen others. */
const withExperts = <Result>(
  experts: readonly BigInt64Array[],
  forward: () => Result,
): { result: Result; changed: number; slack: number } => {
  const changed = new Set<number>()
  let [slack, mixture] = [0, 0]
  const result = withRouting((shares) => {
    const [tokens, count] = shares.shape
    const given = experts[mixture++] ?? new BigInt64Array(0)
    const perToken = given.length / tokens
    if (!Number.isInteger(perToken) || perToken < 1) throw new Error('the experts of another text')
    const values = shares.toFloat32Array()
    for (let token = 0; token < tokens; token++) {
      const taken = new Set(Array.from(given.subarray(token * perToken, (token + 1) * perToken), Number))
      const own = slackOf(values.subarray(token * count, (token + 1) * count), taken)
      if (own > 0) changed.add(token)
      slack = Math.max(slack, own)
    }
    return Tensor.from(given, { shape: [tokens, perToken] })
  }, forward)
  return { result, changed: changed.size, slack }
}

/** A text as token ids. */
export interface ProofInput {
  ids: readonly number[]
  /** Segment of each token (default: 0). */
  typeIds?: readonly number[]
  /** Tokens of the decoder, for an encoder-decoder. */
  decoderIds?: readonly number[]
}

/** A text that is generated with a cache. */
export interface Decoding {
  /** Logits of the next token, [V]: after the prompt, then after each token that is passed. */
  next(token?: number): Promise<Float32Array>
  free(): Promise<void>
}

/** Logits of a text whose experts were given. */
interface ExpertLogits {
  logits: Float32Array
  /** Tokens for which the router would have chosen another expert in some layer. */
  changed: number
  /** Largest share of an expert that was left out beyond one that was taken, relative to the largest share of the token. */
  slack: number
}

/** A program that computes logits from an export. */
export interface Runner {
  /** Its name, with a version where it is another program. */
  consumer: string
  /** Logits of one text, flattened. */
  logits(input: ProofInput): Promise<Float32Array>
  /** Logits of texts that are padded to one length, without those of the padding; absent where no text is padded. */
  batch?(inputs: readonly ProofInput[]): Promise<Float32Array[]>
  /** Starts a text; absent for a model that generates none. */
  decode?(input: ProofInput): Promise<Decoding>
  /** The embeddings and the output of each layer, to find the first that differs; absent where they cannot be read. */
  hidden?(input: ProofInput): Promise<Float32Array[]>
  /** Experts of each token in each mixture, [T,k]; absent without mixtures, and where they cannot be read. */
  experts?(input: ProofInput): Promise<BigInt64Array[]>
  /** Logits of one text with given experts; absent in other programs. */
  logitsWith?(input: ProofInput, experts: readonly BigInt64Array[]): Promise<ExpertLogits>
}

/** Whether texts of the model are padded on the left. */
const padsLeft = ({ facts }: Model): boolean => facts.causal

const int64 = (values: readonly number[], shape: readonly number[]): Tensor =>
  Tensor.from(BigInt64Array.from(values, BigInt), { shape })

/** Rows that are filled up to one length. */
export interface PaddedRows {
  ids: number[]
  mask: number[]
  typeIds: number[]
  /** [rows, length], with a dimension for choices where the head reads several texts at once. */
  shape: number[]
}

/** Pads texts to one length on the side that the model expects. */
export const padRows = (model: Model, inputs: readonly ProofInput[], padId = 0): PaddedRows => {
  const length = Math.max(...inputs.map(({ ids }) => ids.length))
  const fill = (row: readonly number[], value: number) => {
    const padding = Array<number>(length - row.length).fill(value)
    return padsLeft(model) ? [...padding, ...row] : [...row, ...padding]
  }
  return {
    ids: inputs.flatMap(({ ids }) => fill(ids, padId)),
    mask: inputs.flatMap(({ ids }) =>
      fill(
        ids.map(() => 1),
        0,
      ),
    ),
    typeIds: inputs.flatMap(({ ids, typeIds }) => fill(typeIds ?? ids.map(() => 0), 0)),
    shape: model.head instanceof MultipleChoiceHead ? [inputs.length, 1, length] : [inputs.length, length],
  }
}

/** Splits the logits of padded rows by text, without those at padding. @param shape of the logits */
export const unpad = (
  model: Model,
  values: Float32Array,
  shape: readonly number[],
  inputs: readonly ProofInput[],
): Float32Array[] => {
  const length = Math.max(...inputs.map(({ ids }) => ids.length))
  const byToken =
    model.head instanceof ReplacedTokenDetectionHead || (shape.length === 3 && inputs[0].decoderIds === undefined)
  const size = values.length / inputs.length
  return inputs.map(({ ids }, row) => {
    if (!byToken) return values.slice(row * size, (row + 1) * size)
    const width = size / length
    const from = row * size + (padsLeft(model) ? (length - ids.length) * width : 0)
    return values.slice(from, from + ids.length * width)
  })
}

/** The inputs of a forward pass. */
const inputsOf = (model: Model, inputs: readonly ProofInput[], padId?: number): BodyInputs => {
  const { ids, mask, typeIds, shape } = padRows(model, inputs, padId)
  const decoder = inputs.flatMap(({ decoderIds = [] }) => decoderIds)
  const length = shape[shape.length - 1]
  let seen = 0
  const positions = mask.map((one, i) => {
    if (i % length === 0) seen = 0
    return one === 1 ? seen++ : 0
  })
  return {
    inputIds: int64(ids, shape),
    attentionMask: Tensor.from(Uint8Array.from(mask), { shape }),
    ...(typeIds.includes(1) ? { typeIds: int64(typeIds, shape) } : {}),
    ...(padsLeft(model) && mask.includes(0) ? { positionIds: int64(positions, shape) } : {}),
    ...(decoder.length > 0 ? { decoderInputIds: int64(decoder, [inputs.length, decoder.length / inputs.length]) } : {}),
  }
}

/** Most tokens that a comparison generates. */
const mostGenerated = 512

/** Our own forward pass of a model. @param padId id of the padding token */
export const runModel = (model: Model, padId?: number): Runner => {
  const compute = (inputs: readonly ProofInput[]) =>
    noGrad(() =>
      scope(() => {
        const { logits } = model.forward(inputsOf(model, inputs, padId))
        return { values: logits.to('float32').contiguous().toFloat32Array(), shape: logits.shape }
      }),
    )
  const mixtures = mixturesOf(model)
  const writes = writesText(model)
  return {
    consumer: 'tunesmith',
    logits: async (input) => compute([input]).values,
    batch: async (inputs) => {
      const { values, shape } = compute(inputs)
      return unpad(model, values, shape, inputs)
    },
    ...(mixtures.length === 0
      ? {}
      : {
          experts: async (input: ProofInput) => chosenExperts(() => compute([input]), mixtures[0].perToken),
          logitsWith: async (input: ProofInput, experts: readonly BigInt64Array[]) => {
            const { result, ...differences } = withExperts(experts, () => compute([input]))
            return { logits: result.values, ...differences }
          },
        }),
    ...(writes
      ? {
          decode: async ({ ids }: ProofInput) => {
            const batch = new DecodingBatch(model as LanguageModel, [ids], {
              maxNewTokens: mostGenerated,
              useCache: true,
              decoderStartTokenId: model.facts.decoderStartTokenId,
              padTokenId: padId ?? 0,
            })
            return {
              next: async (token?: number) => {
                if (token !== undefined) batch.extend([token])
                return scope(() => batch.nextLogits().toFloat32Array())
              },
              free: async () => batch.free(),
            }
          },
        }
      : {}),
    hidden: async (input) =>
      noGrad(() =>
        scope(() =>
          (model.bodyForward({ ...inputsOf(model, [input], padId), allHidden: true }).allHidden ?? []).map((layer) =>
            layer.to('float32').contiguous().toFloat32Array(),
          ),
        ),
      ),
  }
}

const builtIn = [
  'The quick brown fox jumps over the lazy dog, and then it runs 12 miles home.',
  "It isn't what you'd expect: prices rose by 3.14% in 2024, didn't they?",
  'def add(a, b):\n    return a + b\n\nprint(add(1, 22))  # 23',
  'Größe, café, naïve — “quotes”, and an ellipsis…',
  'Привет, мир! 你好，世界。 こんにちは。',
  'one  two   three\n\n\tfour',
]

/** Texts of at most a few hundred characters, without empty ones. */
export const proofTexts = (given: readonly string[] | undefined): readonly string[] => {
  const texts = (given ?? []).map((text) => text.trim()).filter((text) => text !== '')
  return (texts.length > 0 ? texts.slice(0, 16) : builtIn).map((text) => text.slice(0, 600))
}

/** A program, and what is said where it cannot be used. */
export interface ConsumerPackage<Module> {
  name: string
  /** Oldest version with everything that the proof calls. */
  oldest: string
  /** The version that a loaded package says it has. */
  versionOf(module: Module): string | undefined | Promise<string | undefined>
  /** What is left undone without it, as the beginning of a sentence. */
  without: string
}

/** A package that was loaded. */
export interface OpenedConsumer<Module> {
  module: Module
  /** Name and version. */
  consumer: string
}

/** Whether a version such as 3.10.1 comes before another; one that is no version does. */
const isOlder = (version: string, than: string): boolean => {
  const [ours, theirs] = [version, than].map((one) => one.split(/[.-]/).map(Number))
  for (const [i, part] of theirs.entries()) {
    const mine = ours[i] ?? 0
    if (mine !== part) return !(mine > part)
  }
  return false
}

/** Loads a program. @param note gets a line where it is missing or too old @returns undefined then */
export const openConsumer = async <Module>(
  { name, oldest, versionOf, without }: ConsumerPackage<Module>,
  note: (line: string) => void,
): Promise<OpenedConsumer<Module> | undefined> => {
  let module: Module
  try {
    module = (await import(name)) as Module
  } catch {
    note(`${without}: \`${installCall(name)}\` compares them in it too.`)
    return undefined
  }
  const version = (await Promise.resolve(versionOf(module)).catch(() => undefined)) ?? 'of an unknown version'
  if (!isOlder(version, oldest)) return { module, consumer: `${name.split('/').at(-1)} ${version}` }
  note(
    `${without}: ${name} ${version} is installed, and ${oldest} or newer is needed: \`${installCall(`${name}@latest`)}\`.`,
  )
  return undefined
}
