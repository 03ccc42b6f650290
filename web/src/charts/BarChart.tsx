import { day } from '../lib/format';
import classes from './BarChart.module.css';

interface Props {
  label: string;
  bars: { date: string; value: number }[];
  format: (value: number) => string;
}

const WIDTH = 600;
const HEIGHT = 140;
const DAY_MS = 86_400_000;
/** Fewer days would make bars like doors. */
const DAYS_MIN = 14;

/** Values by day, each at its place in time. The same figures stand in a table for those who do not see the drawing. */
export function BarChart({ label, bars, format }: Props) {
  const max = Math.max(1, ...bars.map((bar) => bar.value));
  const number = ({ date }: { date: string }) => Math.round(Date.parse(date) / DAY_MS);
  const [first, last] = [bars[0], bars.at(-1)];
  const days = first && last ? Math.max(DAYS_MIN, number(last) - number(first) + 1) : DAYS_MIN;
  const step = WIDTH / days;
  return (
    <figure className={classes.chart}>
      <div className={classes.scale} aria-hidden="true">
        <span>{format(bars.length > 0 ? max : 0)}</span>
        <span>0</span>
      </div>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        {bars.map((bar) => {
          const height = Math.max(2, (bar.value / max) * HEIGHT);
          const right = last ? days - (number(last) - number(bar)) : days;
          const gap = Math.min(2, step / 6);
          return (
            <rect key={bar.date} x={(right - 1) * step + gap} y={HEIGHT - height} width={step - 2 * gap} height={height}>
              <title>{`${day(bar.date)}: ${format(bar.value)}`}</title>
            </rect>
          );
        })}
      </svg>
      <div className={classes.ends} aria-hidden="true">
        <span>{last && day(new Date((number(last) - days + 1) * DAY_MS).toISOString())}</span>
        <span>{last && day(last.date)}</span>
      </div>
      <table className="only-read">
        <caption>{label}</caption>
        <tbody>
          {bars.map(({ date, value }) => (
            <tr key={date}>
              <th scope="row">{date}</th>
              <td>{format(value)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  );
}
