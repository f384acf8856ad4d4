// How far apart two computations of the same suite are.

/** The largest difference of a suite. */
export interface Difference {
  cases: number
  /** Largest difference of a value, relative to the largest value of its case. */
  largest: number
  /** The case that has it. */
  where: string
}

/** @throws for other cases, or other numbers of values: then the sides did not compute the same */
export const differenceOf = (
  expected: Readonly<Record<string, ArrayLike<number>>>,
  actual: Readonly<Record<string, ArrayLike<number>>>,
): Difference => {
  const names = Object.keys(expected)
  if (names.join() !== Object.keys(actual).join())
    throw new Error(`Expected the cases ${names.join(', ')}, got ${Object.keys(actual).join(', ')}.`)
  let [largest, where] = [0, names[0]]
  for (const name of names) {
    const [a, b] = [expected[name], actual[name]]
    if (a.length !== b.length) throw new Error(`${name}: Expected ${a.length} values, got ${b.length}.`)
    let [difference, size] = [0, 0]
    for (let i = 0; i < a.length; i++) {
      const distance = Math.abs(a[i] - b[i])
      // A value that is not finite on one side differs by all.
      difference = Math.max(difference, Number.isNaN(distance) ? Number.POSITIVE_INFINITY : distance)
      size = Math.max(size, Math.abs(a[i]))
    }
    const relative = difference === 0 ? 0 : difference / size
    if (relative > largest) [largest, where] = [relative, name]
  }
  return { cases: names.length, largest, where }
}
