// Lines of `--help` for the objectives of alignment: one each, with what it learns from.
import { alignObjectives } from '../../runs/index.ts'

const notes = (): string[] => {
  const objectives = alignObjectives()
  const width = Math.max(...objectives.map(({ type }) => type.length)) + 2
  return [
    'Objectives, with the data that they learn from:',
    ...objectives.map(({ type, data, summary }) => `  ${type.padEnd(width)}${data.padEnd(9)}${summary}`),
  ]
}

export const objectiveNotes: readonly string[] = notes()
