// What a run will take, beside its form: memory, arithmetic, time and disk, planned while settings change.
import type { RecipePlan } from '../../../src/serving/studio/types/new-run-types.ts'
import { formatBytes, formatCount, formatDuration } from '../../format.ts'
import { Progress } from '../../parts/progress.tsx'

type Plan = NonNullable<RecipePlan['plan']>

const seconds = (value: number): string => formatDuration(value * 1000)

const Figures = ({ plan }: { plan: Plan }) => (
  <dl class="figures">
    <dt>Parameters</dt>
    <dd>
      {formatCount(plan.parameters)}
      {plan.trainedParameters !== plan.parameters && `, ${formatCount(plan.trainedParameters)} trained`}
    </dd>
    <dt>Steps</dt>
    <dd>
      {plan.steps === null ? 'until the time is over' : formatCount(plan.steps)} of {formatCount(plan.tokensPerStep)}{' '}
      tokens
    </dd>
    <dt>FLOPs</dt>
    <dd>{plan.steps === null ? `${plan.flopsPerStep.toExponential(2)} per step` : plan.flops.toExponential(2)}</dd>
    <dt>Time</dt>
    <dd>
      {plan.seconds === null ? (
        <span class="muted">not known before this machine has trained</span>
      ) : (
        <span title={plan.seconds.source}>
          {seconds(plan.seconds.value)} ({seconds(plan.seconds.from)} to {seconds(plan.seconds.to)})
        </span>
      )}
    </dd>
    {plan.money !== null && (
      <>
        <dt>Cost</dt>
        <dd>{plan.money.toPrecision(3)}</dd>
      </>
    )}
    {plan.diskBytes !== undefined && (
      <>
        <dt>Disk</dt>
        <dd>{formatBytes(plan.diskBytes)}</dd>
      </>
    )}
  </dl>
)

const Memory = ({ plan }: { plan: Plan }) => (
  <>
    <h3>Memory</h3>
    <p class={plan.fits ? undefined : 'error'}>
      Peak of {formatBytes(plan.peakBytes)} of {formatBytes(plan.memoryBytes)}
      {plan.fits ? '' : ': too much for this machine'}
    </p>
    <Progress share={plan.peakBytes / plan.memoryBytes} label="Memory of the machine at the peak" />
    <ul class="holders">
      {plan.holders.map(({ label, bytes }) => (
        <li key={label}>
          <span>{label}</span>
          <span class="muted">{formatBytes(bytes)}</span>
        </li>
      ))}
    </ul>
  </>
)

interface PlanPanelProps {
  plan: RecipePlan | undefined
  /** Whether a plan is being made. */
  busy: boolean
  /** Why there can be none yet. */
  blocked: string | undefined
}

export const PlanPanel = ({ plan, busy, blocked }: PlanPanelProps) => (
  <section class="panel plan" aria-label="Plan" aria-busy={busy}>
    <div class="row spread">
      <h2>Plan</h2>
      <span class="muted" role="status">
        {busy ? 'Planning …' : ''}
      </span>
    </div>
    {blocked !== undefined ? (
      <p class="muted">{blocked}</p>
    ) : plan?.plan ? (
      <>
        <Figures plan={plan.plan} />
        <Memory plan={plan.plan} />
        {plan.plan.notes.map((note) => (
          <p class="muted" key={note}>
            {note}
          </p>
        ))}
      </>
    ) : (
      <p class={plan === undefined ? 'muted' : 'error'}>{plan?.fault ?? ''}</p>
    )}
  </section>
)
