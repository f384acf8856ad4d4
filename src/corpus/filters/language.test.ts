import { expect, it } from 'vitest'
import { createFilter } from './filter.ts'
import { language } from './language.ts'

const samples = {
  en: 'The committee will meet again on Thursday to discuss the proposals that were made last week.',
  de: 'Der Ausschuss wird am Donnerstag erneut zusammentreten, um die Vorschläge der letzten Woche zu besprechen.',
  fr: 'La commission se réunira de nouveau jeudi pour discuter des propositions faites la semaine dernière.',
  ja: '委員会は先週出された提案について話し合うため、木曜日に再び会合を開きます。',
}

it('keeps the languages wanted and labels them', async () => {
  const filter = await createFilter(language, { languages: ['en', 'de'] }, 'language')
  const apply = (text: string) => filter.apply({ id: '1', text, metadata: {} })
  expect(apply(samples.en)).toMatchObject({ keep: true, metadata: { language: 'en' } })
  expect(apply(samples.de)).toMatchObject({ keep: true, metadata: { language: 'de' } })
  expect(apply(samples.fr)).toMatchObject({ keep: false, reason: 'other-language' })
  expect(apply(samples.ja)).toMatchObject({ keep: false, reason: 'other-language' })
  expect(apply('12345 67890')).toMatchObject({ keep: false, reason: 'unknown-language' })
})

it('drops what it is not sure of', async () => {
  const filter = await createFilter(language, { minConfidence: 0.99 }, 'language')
  expect(filter.apply({ id: '1', text: samples.en, metadata: {} })).toMatchObject({ reason: 'low-confidence' })
})

it('only labels when no language is named', async () => {
  const filter = await createFilter(language, { languages: [] }, 'language')
  for (const [code, text] of Object.entries(samples)) {
    expect(filter.apply({ id: '1', text, metadata: {} })).toMatchObject({ keep: true, metadata: { language: code } })
  }
  expect(filter.apply({ id: '1', text: '', metadata: {} })).toEqual({ keep: true })
})

it('names unknown codes', async () => {
  await expect(createFilter(language, { languages: ['english'] }, 'language')).rejects.toThrow(/got english/)
})
