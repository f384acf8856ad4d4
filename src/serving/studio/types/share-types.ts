// The data of a page that is saved as one file. Only types: the page imports them.

/** Answers of the API by their path, as the pages ask for them; `/curves` and `/samples` without a query are whole. */
export interface SharedFile {
  /** Heading of the browser's window. */
  title: string
  /** Address of the first page, such as `#/runs/base`. */
  home: string
  /** Paths of the pages that the file has: `runs` for that of a run. */
  pages: string[]
  answers: Record<string, unknown>
  /** ISO time at which it was made. */
  made: string
}
