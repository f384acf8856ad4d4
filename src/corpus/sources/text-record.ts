// Text and metadata of one record, normalised.

/** A text with LF line ends, without control characters, and with at most one blank line in a row. */
export const normalizeText = (text: string): string =>
  text
    .replace(/\r\n?/g, '\n')
    .replace(/[\u0000-\u0008\u000b\u000e-\u001f\u007f\ufeff]/g, '')
    .replace(/[ \t\f]+$/gm, '')
    .replace(/\n{3,}/g, '\n\n')
    .replace(/^\n+|\n+$/g, '')

/** The scalar fields of a record as metadata. */
export const scalarMetadata = (record: Record<string, unknown>, except: string): Record<string, string | number> => {
  const metadata: Record<string, string | number> = {}
  for (const [key, value] of Object.entries(record)) {
    if (key === except) continue
    if (typeof value === 'string') metadata[key] = value
    else if (typeof value === 'number' && Number.isFinite(value)) metadata[key] = value
    else if (typeof value === 'bigint') metadata[key] = value.toString()
    else if (typeof value === 'boolean') metadata[key] = value ? 1 : 0
  }
  return metadata
}
