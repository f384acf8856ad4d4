// Smoothing of curves for the eye: an exponential moving average, unbiased at its start.
// Source: Kingma and Ba 2015, section 3.

/** @param weight of the past, from 0 (none) to below 1; values that are null are skipped */
export const smooth = (values: readonly (number | null)[], weight: number): (number | null)[] => {
  let sum = 0
  let total = 0
  return values.map((value) => {
    if (value === null) return null
    sum = weight * sum + (1 - weight) * value
    total = weight * total + (1 - weight)
    return sum / total
  })
}
