// What the process that scores a matrix and the studio say to each other.
import type { PortableError } from '../../../core/index.ts'
import type { MatrixProgress, SpecialistMatrix } from '../types/compare-types.ts'

/** Runs whose models are scored on each other's tasks, on the first records of each. */
export interface MatrixRequest {
  folders: string[]
  limit: number
}

/** Any number of times progress, then the result or an error. */
export type MatrixMessage = { progress: MatrixProgress } | { matrix: SpecialistMatrix } | { error: PortableError }
