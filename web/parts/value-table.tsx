// A value of JSON to read: one row for each setting, by its path.
import { formatValue, formatWhole } from '../format.ts'
import { SafeText } from './safe-text.tsx'
import { Scroll } from './scroll.tsx'

type Fields = Record<string, unknown>

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0

const rowsOf = (fields: Fields, prefix = ''): [path: string, value: unknown][] =>
  Object.entries(fields).flatMap(([name, value]): [string, unknown][] =>
    isFields(value) ? rowsOf(value, `${prefix}${name}.`) : value === undefined ? [] : [[`${prefix}${name}`, value]],
  )

const textOf = (value: unknown): string =>
  typeof value === 'string'
    ? value
    : typeof value === 'number'
      ? Number.isInteger(value) || Math.abs(value) >= 1e6
        ? formatWhole(Math.round(value))
        : formatValue(value)
      : Array.isArray(value) && value.every((each) => typeof each !== 'object')
        ? value.join(', ')
        : JSON.stringify(value)

export const ValueTable = ({ label, value }: { label: string; value: Fields }) => (
  <Scroll label={label}>
    <table class="values">
      <tbody>
        {rowsOf(value).map(([path, each]) => (
          <tr key={path}>
            <th scope="row" class="mono">
              {path}
            </th>
            <td>
              <SafeText text={textOf(each)} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  </Scroll>
)
