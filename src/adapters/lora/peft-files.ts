// LoRA and DoRA in PEFT's files. Layers that are fused into one matrix there have one A, and their B are concatenated.
import { CheckpointError, show } from '../../core/index.ts'
import type { Model } from '../../models/index.ts'
import { noGrad, type Tensor, zeros } from '../../tensor/index.ts'
import { isTimeout, runPureWithTimeLimit } from '../../tokenizers/index.ts'
import type { LayerAdapter } from '../layer-adapter.ts'
import { expectNoBias, numberField, type PeftFile, type PeftFormat } from '../peft/format.ts'
import { isTargeted, joinRows, type NamedLinear, namedLinears, splitRows, targetModules } from '../peft/names.ts'
import { blockLinears, linearNames, outputLayers, tiedLayer } from '../targets.ts'
import { attachLora, type LoraTarget } from './attach.ts'
import { type LoraConfig, plainConfig } from './config.ts'
import { attachEmbedding, embeddingIn, readEmbedding, tokenEmbeddings, writeEmbedding } from './embedding.ts'
import { LoraLayer, type LoraShape } from './layer.ts'
import { attachTokenRows, readTokenRows, tokenRowsField, writeTokenRows } from './token-rows.ts'

/** An expression without repetitions or choices takes no time to speak of; others may come from a hostile file. */
const isPlain = (pattern: string): boolean => /^\^?(?:\w|\.|\\\.)+\$?$/.test(pattern)

const limitMs = 100

/**
 * The value of the first pattern that matches the end of a module name, from the beginning of one of its parts. `^` is the
 * beginning of the whole name.
 * @source peft/utils/other.py, get_pattern_key
 * @throws CheckpointError for values that are not positive numbers, and expressions that JavaScript does not have or that take too long
 */
const modulePatterns = (file: PeftFile, field: string): ((module: string) => number | undefined) => {
  const given = file.fields[field]
  if (typeof given !== 'object' || given === null) return () => undefined
  const fault = (expected: string, got: unknown, advice = '') =>
    new CheckpointError(`${file.path}: Expected ${expected} for \`${field}\`, got ${show(got)}.${advice}`)
  const patterns = Object.entries(given).map(([pattern, value]: [string, unknown]) => {
    if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value)) throw fault('positive numbers', value)
    try {
      return { pattern, value, expression: new RegExp(`^(?:(.*\\.)?(${pattern})$)`, 'u') }
    } catch {
      throw fault('regular expressions that JavaScript has', pattern, ' Write names of modules there instead.')
    }
  })
  return (module) => {
    const found = patterns.find(({ pattern, expression }) => {
      if (isPlain(pattern)) return expression.test(module)
      try {
        return runPureWithTimeLimit(() => expression.test(module), limitMs)
      } catch (error) {
        if (!isTimeout(error)) throw error
        throw fault('regular expressions that take less than 0.1 s', pattern, ' Write names of modules there instead.')
      }
    })
    return found?.value
  }
}

const suffixes = { a: '.lora_A.weight', b: '.lora_B.weight', magnitude: '.lora_magnitude_vector' } as const

/**
 * Values of `init_lora_weights` that leave the base unchanged; others change base weights, which the file does not
 * contain.
 */
const supportedInits: readonly unknown[] = [true, false, undefined, null, 'gaussian', 'eva', 'orthogonal']

const write = (model: Model, config: LoraConfig, placements: readonly { path: string; adapter: LayerAdapter }[]) => {
  const tensors = new Map<string, Tensor>()
  const byPath = new Map(
    placements.flatMap(({ path, adapter }) => (adapter instanceof LoraLayer ? [[path, adapter]] : [])),
  )
  const chosen = namedLinears(model).filter(({ parts }) => parts.some(({ path }) => byPath.has(path)))
  const [rank_pattern, alpha_pattern]: Record<string, number>[] = [{}, {}]
  for (const linear of chosen) {
    const { theirs, parts } = linear
    const layers = parts.map(({ path }) => byPath.get(path))
    const present = layers.find((layer) => layer !== undefined)!
    const { a, shape } = present.plain
    const { rank, alpha, dora } = shape
    tensors.set(theirs + suffixes.a, a)
    // A part without LoRA gets a B of zeros, and the norms of its rows.
    const rows = parts.map(
      ({ layer }, i) => layers[i]?.plain.b ?? zeros([layer.shape[0], rank], { dtype: a.dtype, device: a.device }),
    )
    tensors.set(theirs + suffixes.b, joinRows(rows, linear))
    if (dora) {
      const lengths = parts.map(({ layer }, i) => layers[i]?.magnitude ?? layer.weight.square().sum(1).sqrt())
      tensors.set(theirs + suffixes.magnitude, joinRows(lengths, linear))
    }
    if (rank !== config.rank) rank_pattern[theirs] = rank
    if (alpha !== config.alpha) alpha_pattern[theirs] = alpha
  }
  const table = writeEmbedding(model, placements)
  if (table !== undefined) {
    for (const [key, tensor] of table.tensors) tensors.set(key, tensor)
    if (table.shape.rank !== config.rank) rank_pattern[table.module] = table.shape.rank
    if (table.shape.alpha !== config.alpha) alpha_pattern[table.module] = table.shape.alpha
  }
  const fields = {
    r: config.rank,
    lora_alpha: config.alpha,
    lora_dropout: config.dropout,
    use_rslora: config.rsLora,
    use_dora: config.dora,
    target_modules: [
      ...targetModules(model, chosen),
      ...(table === undefined ? [] : [table.module.slice(table.module.lastIndexOf('.') + 1)]),
    ],
    fan_in_fan_out: chosen.some(({ transposed }) => transposed),
    bias: 'none',
    init_lora_weights: true,
    rank_pattern,
    alpha_pattern,
  }
  return { fields, tensors }
}

/** PEFT also stores the output layer of the base beside its LoRA. @throws CheckpointError for one that differs from the base's */
const expectBase = (file: PeftFile, { theirs, parts }: NamedLinear): void => {
  const key = `${theirs}.base_layer.weight`
  if (!file.has(key) || parts.length !== 1) return
  const { layer } = parts[0]
  const stored = file.take(key, layer.shape)
  if (stored === undefined || layer.quantization !== undefined) return
  if (!stored.to({ dtype: layer.weight.dtype, device: layer.device }).equal(layer.weight.detach()))
    throw new CheckpointError(
      `${file.path}: Expected the base's own matrix for ${key}, got another one. Use the base that the adapter was trained on.`,
    )
}

/** @throws CheckpointError where rows of tokens change the output layer, which LoRA changes */
const expectOneChange = (file: PeftFile, model: Model, withOutput: boolean): void => {
  if (withOutput || tiedLayer(model) !== undefined)
    throw new CheckpointError(
      `${file.path}: Expected LoRA of the output layer or rows of it in \`${tokenRowsField}\`, got both. Merge the adapter into its base with PEFT.`,
    )
}

const read = (file: PeftFile, model: Model) => {
  const { fields } = file
  if (!supportedInits.includes(fields.init_lora_weights))
    throw new CheckpointError(
      `${file.path}: Expected an initialisation that leaves the base unchanged, got init_lora_weights = ${show(fields.init_lora_weights)}, which changed the base's weights. Convert the adapter to plain LoRA with PEFT first.`,
    )
  expectNoBias(file)
  const [rsLora, dora] = [fields.use_rslora === true, fields.use_dora === true]
  const [rank, alpha] = [numberField(file, 'r', 8), numberField(file, 'lora_alpha', 8)]
  const dropout = numberField(file, 'lora_dropout', 0)
  const [rankOf, alphaOf] = [modulePatterns(file, 'rank_pattern'), modulePatterns(file, 'alpha_pattern')]
  const shapeOf = (module: string): LoraShape => ({
    rank: rankOf(module) ?? rank,
    alpha: alphaOf(module) ?? alpha,
    rsLora,
    dora,
    dropout,
  })
  const changed = namedLinears(model).filter(
    ({ theirs }) => file.has(theirs + suffixes.a) || file.has(theirs + suffixes.b) || isTargeted(file, theirs),
  )
  const found = changed.flatMap((linear) => {
    const { theirs, parts } = linear
    const { rank: rankHere } = shapeOf(theirs)
    const [inputs, outputs] = [parts[0].layer.shape[1], parts.reduce((sum, { layer }) => sum + layer.shape[0], 0)]
    const a = file.take(theirs + suffixes.a, [rankHere, inputs])
    const b = file.take(theirs + suffixes.b, [outputs, rankHere])
    expectBase(file, linear)
    const magnitude = dora ? file.take(theirs + suffixes.magnitude, [outputs]) : undefined
    const shape = shapeOf(theirs)
    return [{ linear, shape, a, b, magnitude }]
  })
  const table = embeddingIn(file, model)
  const tableShape = shapeOf(table ?? '')
  const fillTable = table === undefined ? undefined : readEmbedding(file, model, table, tableShape.rank)
  const blocks = new Map(blockLinears(model).map(({ path, name }) => [path, name]))
  const paths = found.flatMap(({ linear }) => linear.parts.map(({ path }) => path))
  const outputs = outputLayers(model).filter(({ path }) => paths.includes(path))
  const targets = [
    ...linearNames.filter((name) => paths.some((path) => blocks.get(path) === name)),
    ...outputs.map(({ path }) => path.slice(path.lastIndexOf('.') + 1)),
    ...(table === undefined ? [] : tokenEmbeddings(model)).map(({ path }) => path.slice(path.lastIndexOf('.') + 1)),
  ]
  const places = found.flatMap(({ linear, shape }) =>
    linear.parts.map(({ path, layer }): LoraTarget => ({ path, layer, shape, name: blocks.get(path) })),
  )
  const config: LoraConfig = {
    type: 'lora',
    targets: targets.length > 0 ? targets : 'all-linear',
    rank,
    alpha,
    dropout,
    rsLora,
    dora,
    rankPattern: {},
    alphaPattern: {},
    init: 'default',
    loraPlusRatio: 1,
    tokens: [],
  }
  const rows = readTokenRows(file, model)
  if (rows.ids.length > 0 && outputs.length > 0) expectOneChange(file, model, rows.withOutput)
  return {
    config,
    plan: (context: Parameters<typeof attachLora>[3]) => {
      const { placements, ...attachment } = attachLora(model, places, config, context)
      const tables = table === undefined ? [] : tokenEmbeddings(model)
      const shaped = tables.map((target) => ({ ...target, shape: tableShape }))
      return {
        ...attachment,
        placements: [
          ...placements,
          ...attachEmbedding(model, shaped, context),
          ...attachTokenRows(model, rows.ids, rows.withOutput),
        ],
      }
    },
    fill: ({ placements }: ReturnType<typeof attachLora>) => {
      rows.fill(placements.map(({ adapter }) => adapter))
      fillTable?.(placements.map(({ adapter }) => adapter))
      const layers = new Map(placements.map(({ path, adapter }) => [path, adapter as LoraLayer]))
      const put = (linear: NamedLinear, tensor: Tensor | undefined, pick: (layer: LoraLayer) => Tensor | undefined) =>
        tensor === undefined ||
        splitRows(tensor, linear).forEach((piece, i) => {
          pick(layers.get(linear.parts[i].path)!)?.copy_(piece)
        })
      noGrad(() => {
        for (const { linear, a, b, magnitude } of found) {
          if (a !== undefined) for (const { path } of linear.parts) layers.get(path)?.a.copy_(a)
          put(linear, b, (layer) => layer.b)
          put(linear, magnitude, (layer) => layer.magnitude)
        }
      })
    },
  }
}

/** LoRA in PEFT's files. */
export const loraFiles: PeftFormat<LoraConfig> = {
  type: 'LORA',
  fields: [
    'r',
    'lora_alpha',
    'lora_dropout',
    'use_rslora',
    'use_dora',
    'target_modules',
    'fan_in_fan_out',
    'bias',
    'init_lora_weights',
    'rank_pattern',
    'alpha_pattern',
    'exclude_modules',
    'layers_to_transform',
    'layers_pattern',
    tokenRowsField,
  ],
  write: (model, given, { placements }) => {
    const config = plainConfig(given)
    const { fields, tensors } = write(model, config, placements)
    const rows = writeTokenRows(model, placements)
    return { fields: { ...fields, ...rows.fields }, tensors: new Map([...tensors, ...rows.tensors]) }
  },
  read,
}
