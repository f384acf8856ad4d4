// The prompts of the generation benchmark, of one length in none of them, so that a batch needs padding.
export const prompts = [
  'The history of the printing press begins',
  'A recipe for a simple vegetable soup: first,',
  'In the year 1905 a clerk in Bern published four papers. The first of them',
  'Once upon a time there was a lighthouse keeper who',
  'The difference between weather and climate is that',
  'To sort a list of numbers, a computer can',
  'Dear Sir or Madam, I am writing to ask whether',
  'The river rises in the mountains and flows',
]

/** Prompts for any number of rows, repeated where there are not enough. */
export const promptRows = (count: number): string[] =>
  Array.from({ length: count }, (_, row) => prompts[row % prompts.length])
