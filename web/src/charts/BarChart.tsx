import { day } from '../lib/format';
import classes from './BarChart.module.css';

interface Props {
  label: string;
  bars: { date: string; value: number }[];
  format: (value: number) => string;
}

const WIDTH = 600;
const HEIGHT = 140;

/** Values by day. The same figures stand in a table for those who do not see the drawing. */
export function BarChart({ label, bars, format }: Props) {
  const max = Math.max(1, ...bars.map((bar) => bar.value));
  const step = WIDTH / Math.max(bars.length, 12);
  return (
    <figure className={classes.chart}>
      <div className={classes.scale} aria-hidden="true">
        <span>{format(bars.length > 0 ? max : 0)}</span>
        <span>0</span>
      </div>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        {bars.map(({ date, value }, index) => {
          const height = Math.max(2, (value / max) * HEIGHT);
          return (
            <rect key={date} x={index * step + 2} y={HEIGHT - height} width={Math.max(2, step - 4)} height={height} rx="2">
              <title>{`${day(date)}: ${format(value)}`}</title>
            </rect>
          );
        })}
      </svg>
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
