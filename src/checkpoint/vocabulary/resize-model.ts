// A model with another vocabulary: every row of its embeddings and of its output layer is one of the old rows, or a mean of some.
import { ConfigError } from '../../core/index.ts'
import { buildModel, type Model, quantizationOf } from '../../models/index.ts'
import { cat, noGrad, scope, Tensor } from '../../tensor/index.ts'
import { rememberSource, sourceOf } from '../load-model.ts'

/** Old ids whose mean is a row of the new vocabulary: one id keeps its row, none gives the mean of all rows. */
export type RowSource = readonly number[]

/** The rows of a table or a bias that `sources` names. */
const rowsOf = (table: Tensor, sources: readonly RowSource[], used: number): Tensor =>
  scope(() => {
    const mean = table.narrow(0, 0, used).to('float32').mean([0]).unsqueeze(0).to(table.dtype)
    // The last row of the extended table is the mean of all. Rows without a token are kept like others.
    const extended = cat([table, mean], 0)
    const [count] = table.shape
    const single = sources.map((ids) => (ids.length === 1 ? ids[0] : count))
    const rows = extended.indexSelect(0, Tensor.from(Int32Array.from(single), { dtype: 'int64' }))
    for (const [i, ids] of sources.entries())
      if (ids.length > 1) {
        const chosen = table.indexSelect(0, Tensor.from(Int32Array.from(ids), { dtype: 'int64' }))
        rows.select(0, i).copy_(chosen.to('float32').mean([0]).to(table.dtype))
      }
    return rows
  })

/**
 * A copy of a model for another vocabulary.
 * @param sources for each new id the old ids that its row comes from
 * @param options `used`: number of old rows that belong to tokens, for means; `idOf`: the new ids of special tokens
 * @throws ConfigError for a quantised model, and for one whose positions depend on the id of padding when that changes
 */
export const resizeVocabulary = (
  model: Model,
  sources: readonly RowSource[],
  options: { used?: number; idOf?: (id: number) => number | undefined } = {},
): Model => {
  const { definition, headType, headOptions } = model
  const { vocabSize: before } = model.facts
  const { used = before, idOf = (id) => id } = options
  if (quantizationOf(model) !== undefined)
    throw new ConfigError('Another vocabulary needs a model that is not quantised: load it in float32 or bfloat16.')
  const config = Object.fromEntries(
    Object.entries(model.config).map(([name, value]) => [
      name,
      name === 'vocabSize'
        ? sources.length
        : /TokenId$/.test(name) && typeof value === 'number'
          ? (idOf(value) ?? value)
          : value,
    ]),
  )
  if (definition.facts(config).maxPositions !== model.facts.maxPositions)
    throw new ConfigError(
      `Positions of ${definition.type} depend on the id of the padding token, which would change. Use a tokenizer with the same id.`,
    )
  const resized = buildModel(definition, config, headType, headOptions)
  resized.to({ dtype: model.body.embedTokens.dtype })
  const old = model.parameters()
  noGrad(() => {
    for (const [path, tensor] of resized.parameters()) {
      const from = old.get(path)
      const isTable = from !== undefined && from.shape[0] === before && tensor.shape[0] === sources.length
      if (from === undefined || (!isTable && from.shape.join() !== tensor.shape.join()))
        throw new ConfigError(`Expected the parameter ${path} in both models, got another shape. Report this model.`)
      tensor.copy_(isTable ? rowsOf(from, sources, used) : from)
    }
  })
  const source = sourceOf(model)
  if (source !== undefined) rememberSource(resized, source)
  return resized
}
