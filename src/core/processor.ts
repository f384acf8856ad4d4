// The processor of this machine, by name.
import { cpus } from 'node:os'

/** The name of this machine's processor. */
export const processorName = (): string => cpus()[0]?.model.trim() || 'unknown'
