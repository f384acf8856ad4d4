// Faults that a run of this process meets after a step: a loss that is not finite, memory that is used up, a disk that is full.
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { type Criterion, objectives, registerObjective } from '../../src/objectives/index.ts'
import { registerTask, tasks } from '../../src/tasks/index.ts'
import { memoryStatistics, setMemoryLimit } from '../../src/tensor/index.ts'

/** A fault of the machine or of the numbers. */
export interface Fault {
  name: string
  begin(): void
  end(): void
}

let isPoisoned = false

/** The same loss, NaN in training while it is poisoned. */
const poisonable = <Example, C extends Criterion<Example>>(criterion: C): C => ({
  ...criterion,
  loss(model, batch, options) {
    const result = criterion.loss(model, batch, options)
    if (!(isPoisoned && model.training)) return result
    return { ...result, terms: result.terms.map((term) => ({ ...term, sum: term.sum.mul(Number.NaN) })) }
  },
})

/** Names of the objective and the task whose loss can be poisoned. */
export const poisonableNames = { objective: 'poisonable-masked-lm', task: 'poisonable-classification' }

/** Makes the objective and the task known to recipes. */
export const registerPoisonable = (): void => {
  const masked = objectives['masked-lm']
  registerObjective({
    ...masked,
    type: poisonableNames.objective,
    create: (config, context) => poisonable(masked.create(config as never, context)),
  } as Parameters<typeof registerObjective>[0])
  const classes = tasks['sequence-classification']
  registerTask({
    ...classes,
    type: poisonableNames.task,
    prepare(...given) {
      const prepared = classes.prepare(...given)
      return { ...prepared, criterion: poisonable(prepared.criterion) }
    },
  })
}

const notFinite: Fault = {
  name: 'a loss that is NaN',
  begin: () => {
    isPoisoned = true
  },
  end: () => {
    isPoisoned = false
  },
}

const noMemory: Fault = {
  name: 'memory used up',
  begin: () => setMemoryLimit(memoryStatistics().inUse),
  end: () => setMemoryLimit(undefined),
}

/** Writes blocks of a size until none fits. */
const fill = (file: number, bytes: number): void => {
  const block = Buffer.alloc(bytes)
  try {
    while (writeSync(file, block) === bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}

/** A disk of 64 MB in memory at a folder, which needs the rights to mount; undefined without them. */
export const mountDisk = (folder: string): { fault: Fault; unmount(): void } | undefined => {
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', folder]).status !== 0) return undefined
  const filler = join(folder, 'filler')
  return {
    fault: {
      name: 'a full disk',
      begin() {
        const file = openSync(filler, 'w')
        for (const bytes of [2 ** 20, 2 ** 12, 1]) fill(file, bytes)
        closeSync(file)
      },
      end: () => rmSync(filler, { force: true }),
    },
    unmount: () => void spawnSync('umount', ['-l', folder]),
  }
}

/** The faults that need no rights. */
export const ownFaults: readonly Fault[] = [notFinite, noMemory]
