// Fields that were set.

/** The fields of an object that have a value: those that are undefined would hide defaults. */
export const withoutUndefined = <Fields extends object>(fields: Fields): Partial<Fields> =>
  // The keys are those of the argument.
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<Fields>
