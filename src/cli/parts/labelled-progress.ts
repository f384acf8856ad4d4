// Progress of work in several parts: a bar for each label, one after the other.
import type { Progress } from '../../core/index.ts'
import type { CommandContext } from '../command.ts'

/** How far a part of the work is. */
export interface PartProgress {
  label: string
  /** What is counted, in the plural. */
  unit: string
  done: number
  /** Left out where the end is not known. */
  of?: number
}

/** Shows parts of work as they are reported. `stop` is safe to call twice. */
export const labelledProgress = (
  context: Pick<CommandContext, 'progress'>,
): { onProgress(part: PartProgress): void; stop(): void } => {
  let bar: Progress | undefined
  let shown: string | undefined
  return {
    onProgress({ label, unit, done, of }) {
      if (label !== shown) {
        bar?.stop()
        bar = context.progress({ label, unit, total: of })
        shown = label
      }
      bar?.update(done)
    },
    stop: () => bar?.stop(),
  }
}
