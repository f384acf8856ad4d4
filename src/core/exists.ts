// Whether there is anything at a path.
import { stat } from 'node:fs/promises'

/** False too where it cannot be looked at. */
export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
