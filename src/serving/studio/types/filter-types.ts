// What the pages and the server say to each other about filters. Only types, independent of Node.

/** Answer of `GET /api/filter?where=…`. */
export interface FilterAnswer {
  /** Ids of the runs that fulfil the condition. */
  ids: string[]
}

/** A field that conditions may use. */
export interface FilterField {
  name: string
  type: string
}

/** Answer of `GET /api/filter/fields`. */
export interface FilterFields {
  /** Fields of the table. */
  runs: FilterField[]
  /** Settings of the recipes. */
  settings: FilterField[]
}
