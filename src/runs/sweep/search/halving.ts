// Asynchronous successive halving: which run is trained next, and how far. Runs no model.
// @source Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020, algorithm 2

/** Steps up to which runs are trained before they are compared. */
export const rungsOf = (minSteps: number, maxSteps: number, reduction: number): number[] => {
  const rungs: number[] = []
  for (let steps = minSteps; steps < maxSteps; steps *= reduction) rungs.push(steps)
  return [...rungs, maxSteps]
}

/** A trial to be trained up to a rung. */
export interface HalvingJob {
  trial: number
  rung: number
}

/**
 * The next job: the best `1 / reduction` of a rung that has not been promoted, from the highest rung down; else a new trial. Once all trials
 * have begun, the best is trained to the end, also where they are too few for that.
 * @param scores losses by trial, of each rung; lower is better
 * @returns undefined when all is done
 */
export const nextHalvingJob = (
  scores: readonly ReadonlyMap<number, number>[],
  trials: number,
  reduction: number,
): HalvingJob | undefined => {
  const last = scores.length - 1
  const best = (rung: number) =>
    [...scores[rung]]
      .filter(([, loss]) => loss < Number.POSITIVE_INFINITY)
      .sort(([a, lossA], [b, lossB]) => lossA - lossB || a - b)
      .map(([trial]) => trial)
  for (let rung = last - 1; rung >= 0; rung--) {
    const top = best(rung).slice(0, Math.floor(scores[rung].size / reduction))
    const trial = top.find((one) => !scores[rung + 1].has(one))
    if (trial !== undefined) return { trial, rung: rung + 1 }
  }
  if (scores[0].size < trials) return { trial: scores[0].size, rung: 0 }
  if (scores[last].size > 0) return undefined
  for (let rung = last - 1; rung >= 0; rung--) {
    const trial = best(rung).find((one) => !scores[rung + 1].has(one))
    if (trial !== undefined) return { trial, rung: rung + 1 }
  }
  return undefined
}
