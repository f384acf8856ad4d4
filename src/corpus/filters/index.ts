// The registry of document filters.

import { c4 } from './c4.ts'
import { characters } from './characters.ts'
import type { FilterDefinition } from './filter.ts'
import { fineweb } from './fineweb.ts'
import { gopherQuality } from './gopher-quality.ts'
import { gopherRepetition } from './gopher-repetition.ts'
import { language } from './language.ts'
import { length } from './length.ts'
import { lines } from './lines.ts'
import { personalData } from './personal-data.ts'
import { qualityClassifier } from './quality-classifier.ts'
import { url } from './url.ts'

export * from './filter.ts'

/** All filters by type. */
export const filters = {
  c4,
  characters,
  fineweb,
  'gopher-quality': gopherQuality,
  'gopher-repetition': gopherRepetition,
  language,
  length,
  lines,
  'personal-data': personalData,
  'quality-classifier': qualityClassifier,
  url,
} as const satisfies Record<string, FilterDefinition>

export type FilterType = keyof typeof filters
