import { describe, expect, it } from 'vitest'
import { variantSettings } from '../../runs/index.ts'
import { finetune } from '../commands/finetune.ts'
import { flagsOf, spellMapFlags } from '../flags.ts'
import { variantNotes } from './variant-notes.ts'

const named = [...variantNotes.join('\n').matchAll(/--adapter\.[\w-]+/g)].map(([flag]) => flag)

describe('the settings of variants in --help', () => {
  it('has a line for every setting of every variant, and no other', () => {
    const flags = flagsOf(finetune.options)
    const keys = named.map((flag) => spellMapFlags([flag, '1'], flags)[1].replace('=1', ''))
    const wanted = variantSettings().flatMap(({ schema }) => Object.keys(schema.shape))
    expect(new Set(keys)).toEqual(new Set(wanted))
  })

  it('keeps lines within the width of a terminal and says each setting once', () => {
    for (const line of variantNotes) expect(line.length).toBeLessThanOrEqual(120)
    expect(variantNotes.filter((line) => line.includes('virtual tokens in front of every row'))).toHaveLength(1)
  })
})
