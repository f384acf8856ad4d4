// Automata as grammars: every state is explored, and those from which no text can end are left out, so that a text is never led
// into a place that it cannot leave.
import { ConfigError } from '../../core/index.ts'
import { type CodePoints, characterNode } from './languages.ts'
import { choice, type Effort, known, type Node, nothing, sequence } from './nodes.ts'

/** Reads texts character by character. Equal states have one key. */
export interface Automaton<State> {
  start: State
  keyOf(state: State): string | number
  /** Whether a text may end in a state. */
  accepts(state: State): boolean
  /** The states after characters; sets do not overlap. */
  steps(state: State): readonly (readonly [CodePoints, State])[]
}

const maxStates = 20_000

interface Place {
  ends: boolean
  steps: { set: CodePoints; to: number }[]
  /** Characters to the nearest end of a text; infinite where there is none. */
  distance: number
}

/** @throws ConfigError for too many states, or where they take too long */
const explore = <State>(automaton: Automaton<State>, effort: Effort): Place[] => {
  const numbers = new Map<string | number, number>()
  const states: State[] = []
  const numberOf = (state: State): number => {
    const key = automaton.keyOf(state)
    const found = numbers.get(key)
    if (found !== undefined) return found
    if (states.length >= maxStates) throw new ConfigError('it has too many states for a grammar. Make it simpler.')
    numbers.set(key, states.length)
    return states.push(state) - 1
  }
  numberOf(automaton.start)
  const places: Place[] = []
  for (let at = 0; at < states.length; at++) {
    const ends = automaton.accepts(states[at])
    const steps = automaton.steps(states[at]).map(([set, to]) => ({ set, to: numberOf(to) }))
    effort.spend(1 + steps.length)
    places.push({ ends, steps, distance: ends ? 0 : Number.POSITIVE_INFINITY })
  }
  return places
}

/** Breadth-first from all places where a text may end, against the steps. */
const measure = (places: readonly Place[]): void => {
  const before = places.map((): number[] => [])
  for (const [at, { steps }] of places.entries()) for (const { to } of steps) before[to].push(at)
  const todo = places.flatMap(({ ends }, at) => (ends ? [at] : []))
  for (let i = 0; i < todo.length; i++)
    for (const at of before[todo[i]])
      if (places[at].distance === Number.POSITIVE_INFINITY) {
        places[at].distance = places[todo[i]].distance + 1
        todo.push(at)
      }
}

/**
 * The texts of an automaton.
 * @param max characters of a text at most
 * @returns undefined for none
 * @throws ConfigError for too many states, or where they take too long, without the place in a schema
 */
export const automatonNode = <State>(
  automaton: Automaton<State>,
  effort: Effort,
  max = Number.POSITIVE_INFINITY,
): Node | undefined => {
  const places = explore(automaton, effort)
  measure(places)
  const nodes = new Map<string, Node>()
  const characters = new Map<string, Node>()
  const charactersOf = (set: CodePoints): Node => {
    const key = set.join(';')
    const found = characters.get(key) ?? characterNode(set)
    characters.set(key, found)
    return found
  }
  // Nodes are made when a text comes to them: with a maximum length there are as many for each place.
  const nodeOf = (at: number, left: number): Node => {
    const key = `${at},${left}`
    const found = nodes.get(key)
    if (found !== undefined) return found
    const { ends, steps } = places[at]
    const node = known(() =>
      choice(
        ...steps
          .filter(({ to }) => places[to].distance < left)
          .map(({ set, to }) => sequence(charactersOf(set), nodeOf(to, left - 1))),
        ...(ends ? [nothing] : []),
      ),
    )
    nodes.set(key, node)
    return node
  }
  const { distance } = places[0]
  return distance === Number.POSITIVE_INFINITY || distance > max ? undefined : nodeOf(0, max)
}
