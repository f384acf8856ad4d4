// Settings of the answers, which all modes that write text share.
import { signal } from '@preact/signals'

/** What the fields have, as text: an empty field leaves the setting to the model. */
const fields = signal({ temperature: '0.7', topP: '', maxTokens: '', seed: '0', stop: '', system: '' })

type FieldName = keyof (typeof fields)['value']

const number = (text: string): number | undefined => (text.trim() === '' ? undefined : Number(text))

/** New tokens of a text whose number is not set, where half of the context is more. */
const defaultTokens = 128

/** The sampling fields of a request. The server checks them. @param context tokens of a prompt with its answer */
export const samplingOf = (context: number): Record<string, unknown> => {
  const { temperature, topP, maxTokens, seed, stop } = fields.value
  const values = {
    temperature: number(temperature),
    top_p: number(topP),
    max_tokens: number(maxTokens) ?? Math.min(defaultTokens, Math.max(1, Math.floor(context / 2))),
    seed: number(seed),
    stop: stop === '' ? undefined : stop.split('\n').filter((line) => line !== ''),
  }
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

/** The system prompt of a chat; undefined without one. */
export const systemPrompt = (): string | undefined => fields.value.system.trim() || undefined

const set = (name: FieldName, value: string): void => {
  fields.value = { ...fields.value, [name]: value }
}

const NumberField = ({
  name,
  title,
  ...more
}: {
  name: FieldName
  title: string
  min?: string
  max?: string
  step?: string
}) => (
  <label>
    {title}
    <input
      type="number"
      {...more}
      value={fields.value[name]}
      onInput={(event) => set(name, event.currentTarget.value)}
    />
  </label>
)

export const Settings = ({ chat }: { chat: boolean }) => (
  <details class="panel settings">
    <summary>Settings</summary>
    <div class="fields">
      <NumberField name="temperature" title="Temperature (0: likeliest token)" min="0" max="2" step="0.1" />
      <NumberField name="topP" title="Top-p" min="0.01" max="1" step="0.01" />
      <NumberField name="maxTokens" title="Maximum new tokens (empty: 128, or half of the context)" min="1" step="1" />
      <NumberField name="seed" title="Random seed, the same for both models" step="1" />
      <label>
        Stop strings, one a line
        <textarea rows={2} value={fields.value.stop} onInput={(event) => set('stop', event.currentTarget.value)} />
      </label>
      {chat && (
        <label>
          System prompt
          <textarea
            rows={2}
            value={fields.value.system}
            onInput={(event) => set('system', event.currentTarget.value)}
          />
        </label>
      )}
    </div>
  </details>
)
