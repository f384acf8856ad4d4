// The files by which runs that are compared take turns.

/** Steps of a turn, and steps before the first one: those that allocate, and in which buckets are not sent early yet. */
export const [turnSteps, warmSteps] = [2, 2]

/** Name of the file that says whose turn it is. */
export const turnFile = 'turn'
export const turnOf = (name: string, number: number): string => `${name} ${number}`
/** Name of the file with the seconds that a turn took. */
export const doneFile = (name: string, number: number): string => `done-${name}-${number}`
