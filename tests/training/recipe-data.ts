// A small base and rows of text for runs whose recipe file reads them.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pretrain } from '../../src/runs/index.ts'
import { makeSmallData, type SmallData, smallRecipe } from './small-run.ts'

/** Small data with a base of one step in `base`, and in `rows.txt` 60 rows: a text and its label, with a comma between. */
export const makeRecipeData = async (): Promise<{ data: SmallData; rows: string[] }> => {
  const data = await makeSmallData()
  await pretrain(smallRecipe(data, join(data.root, 'base'), { budget: { steps: 1 }, keep: { last: 1 } }))
  const rows = Array.from({ length: 60 }, (_, i) =>
    i % 3 === 0 ? `the green house ${i},plant` : `the stone ${i},rock`,
  )
  writeFileSync(join(data.root, 'rows.txt'), rows.join('\n'))
  return { data, rows }
}
