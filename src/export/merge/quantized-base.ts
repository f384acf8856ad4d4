// Adapters that were trained on a quantised base. They are merged into the original base, whose matrices were never rounded; here
// is measured how far the result is from the model that was trained, and how far a merge into the dequantised base would be.
import { adaptersOf } from '../../adapters/index.ts'
import type { ModelTokenizer } from '../../checkpoint/index.ts'
import { type Model, withQuantizedValues } from '../../models/index.ts'
import type { Quantization } from '../../nn/index.ts'
import { textLogits } from '../proof/compare-models.ts'
import { RelativeDifference, rounded } from '../proof/differences.ts'

/** What is merged, and the texts that both merges are compared on. */
interface QuantizedMerge {
  model: Model
  tokenizer: ModelTokenizer
  /** Adapters of the model that are merged. */
  names: readonly string[]
  texts: readonly string[]
}

const difference = (a: readonly Float32Array[], b: readonly Float32Array[]): number => {
  const found = new RelativeDifference()
  for (const [i, values] of a.entries()) found.add(values, b[i])
  return rounded(found.value)
}

/**
 * Merges adapters into the base and says how the merged model differs from the one that was trained. Adapters are active
 * before and merged afterwards.
 * @param format of the matrices that the adapters were trained on
 */
export const mergeIntoOriginal = async (
  { model, tokenizer, names, texts }: QuantizedMerge,
  format: Quantization,
): Promise<string> => {
  const bank = adaptersOf(model)
  const logits = () => textLogits({ model: model.eval(), tokenizer }, texts)
  bank.activate([])
  const { trained, dequantised, matrices } = await withQuantizedValues(model, format, async (matrices) => {
    try {
      bank.activate(names)
      const trained = await logits()
      bank.activate(names, { merged: names })
      return { trained, dequantised: await logits(), matrices }
    } finally {
      bank.activate([])
    }
  })
  bank.activate(names, { merged: names })
  const original = await logits()
  return `Trained on a base in ${format}, whose matrices differ from the original ones by ${rounded(matrices)}. Merged into the original base, logits differ by at most ${difference(trained, original)} of the largest from those of the trained model; merged into the dequantised base they would differ by ${difference(trained, dequantised)}.`
}
