// What clients have sent is read before the process computes again. Node accepts one connection in a turn of its event loop
// (libuv does so since 1.45), so a process that computed in every turn would let a crowd in one by one, a step apart.
import { setImmediate } from 'node:timers/promises'

/** Clients that never stop connecting hold up a step for so many turns at most. */
const mostTurns = 256

let arrivals = 0

/** Says that a connection or a request has come. */
export const noteArrival = (): void => {
  arrivals++
}

/** Gives the event loop turns as long as connections and requests come in them. */
export const readArrivals = async (): Promise<void> => {
  // Wherever in a turn it is called: every turn from here on looks for what has come.
  await setImmediate()
  let seen: number | undefined
  for (let turn = 0; turn < mostTurns && seen !== arrivals; turn++) {
    seen = arrivals
    await setImmediate()
  }
}
