// Chosen runs side by side, for the page "Compare".
import { join } from 'node:path'
import { type ComparedDifference, type ComparedRun, compareRuns } from '../../../runs/index.ts'
import { isLowerBetter, modelFiles, runFiles } from '../../../tracking/index.ts'
import { finiteOrNull, intervalOf } from '../shown-values.ts'
import type { RunRow } from '../types/api-types.ts'
import type { ComparedRunRow, PairedDifference, RunComparisonAnswer } from '../types/compare-types.ts'
import { Recent } from './recent.ts'

const recent = new Recent<RunComparisonAnswer>(8)

const differenceOf = (
  difference: ComparedDifference | undefined,
  idOf: (name: string) => string,
): PairedDifference | null =>
  difference === undefined
    ? null
    : { ...intervalOf(difference), to: idOf(difference.to), probability: finiteOrNull(difference.probability) }

const rowOf = (run: ComparedRun, idOf: (name: string) => string): ComparedRunRow => ({
  id: idOf(run.name),
  ...{ base: run.base, task: run.task, variant: run.variant, family: run.family, randomInit: run.randomInit },
  data: run.data.split('/').slice(-2).join('/'),
  group: JSON.stringify([run.task, run.metric, run.records ?? null]),
  seed: String(run.seed),
  metric: run.metric,
  lowerIsBetter: isLowerBetter(run.metric),
  ...intervalOf(run),
  trainedParameters: run.trainedParameters,
  trainedShare: run.trainedShare ?? null,
  seconds: run.seconds,
  energyJoules: run.energyJoules ?? null,
  cost: run.cost ?? null,
  ...{ peakBytes: run.peakBytes, fileBytes: run.fileBytes },
  difference: differenceOf(run.difference, idOf),
  pretraining: differenceOf(run.pretraining, idOf),
})

/** Compares the runs; those without a score are named with the reason. */
export const compareChosen = ({
  runs,
}: {
  runs: readonly Pick<RunRow, 'id' | 'folder'>[]
}): Promise<RunComparisonAnswer> => {
  const files = runs.flatMap(({ folder }) =>
    [modelFiles.evaluation, modelFiles.predictions].map((name) => join(folder, runFiles.model, name)),
  )
  return recent.of(JSON.stringify(runs), files, async () => {
    const ids = new Map(runs.map(({ id, folder }) => [folder, id]))
    const skipped: RunComparisonAnswer['skipped'] = []
    const compared = await compareRuns(
      runs.map(({ folder }) => folder),
      // The page says which run it is; its path says no more.
      { onSkip: (folder, error) => skipped.push({ id: ids.get(folder) ?? folder, reason: error.message }) },
    )
    const names = new Map(compared.runs.map(({ name, run }) => [name, ids.get(run) ?? name]))
    const idOf = (name: string) => names.get(name) ?? name
    return {
      runs: compared.runs.map((run) => rowOf(run, idOf)),
      references: compared.references.map(({ task, metric, baseline, runs: scored, ...interval }) => ({
        ...{ task, metric, name: baseline, runs: scored.map(idOf) },
        ...intervalOf(interval),
      })),
      rewards: compared.rewards.map(({ reward, points }) => ({
        reward,
        points: points.map(({ name, method, kl, ...interval }) => ({
          ...{ name: idOf(name), method, kl },
          ...intervalOf(interval),
        })),
      })),
      warnings: compared.warnings,
      skipped: skipped.map(({ id, reason }) => ({
        id,
        reason: reason.replace(`${runs.find((run) => run.id === id)?.folder}: `, ''),
      })),
    }
  })
}
