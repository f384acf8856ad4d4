// Which cases of a grid (method × architecture, operator × dtype × layout) `npm test` runs: few that still meet every value, or every pair of
// values. `npm run test:full` sets TUNESMITH_TESTS=full and runs them all.

/** True in `npm run test:full`: for cases that no cover chooses, such as a second run of the same. */
export const isFull = process.env.TUNESMITH_TESTS === 'full'

/** The first cases, greedily, so that each of what `needsOf` lists of a case is met `times` times, as far as all cases meet it. */
const cover = <Case>(cases: readonly Case[], needsOf: (of: Case) => readonly string[], times: number): Case[] => {
  if (isFull) return [...cases]
  const rest = cases.map((of) => ({ of, needs: needsOf(of) }))
  const missing = new Map<string, number>()
  for (const { needs } of rest)
    for (const need of needs) missing.set(need, Math.min(times, (missing.get(need) ?? 0) + 1))
  const gain = (needs: readonly string[]) => needs.filter((need) => (missing.get(need) ?? 0) > 0).length
  const chosen = new Set<Case>()
  for (;;) {
    const [best] = rest
      .filter(({ of }) => !chosen.has(of))
      .map((one) => ({ ...one, gain: gain(one.needs) }))
      .sort((a, b) => b.gain - a.gain)
    if (best === undefined || best.gain === 0) return cases.filter((of) => chosen.has(of))
    chosen.add(best.of)
    for (const need of best.needs) missing.set(need, (missing.get(need) ?? 0) - 1)
  }
}

/** Cases in which each value of each axis occurs `times` times. @param axesOf values of a case, in the same order for each */
export const eachValue = <Case>(cases: readonly Case[], axesOf: (of: Case) => readonly unknown[], times = 2): Case[] =>
  cover(cases, (of) => axesOf(of).map((value, axis) => `${axis}:${value}`), times)

/** Cases in which each pair of values of two axes occurs once. */
export const pairwise = <Case>(cases: readonly Case[], axesOf: (of: Case) => readonly unknown[]): Case[] =>
  cover(
    cases,
    (of) => {
      const values = axesOf(of).map((value, axis) => `${axis}:${value}`)
      return values.flatMap((a, i) => values.slice(i + 1).map((b) => `${a} ${b}`))
    },
    1,
  )
