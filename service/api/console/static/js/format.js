// Numbers and times as people read them, in the language of their browser.

const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const TIME = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const AGO = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "long" });
const COUNT = new Intl.NumberFormat();
const UNITS = [
  ["year", 31_557_600],
  ["month", 2_629_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

export const count = (number) => COUNT.format(number);

export function countOf(number, singular, plural = `${singular}s`) {
  return `${COUNT.format(number)} ${number === 1 ? singular : plural}`;
}

export const date = (text) => (text ? DATE.format(new Date(text)) : "never");
export const time = (text) => (text ? TIME.format(new Date(text)) : "never");

/** "3 hours ago", or "in 5 minutes". */
export function ago(text, now = Date.now()) {
  if (!text) return "never";
  const seconds = (new Date(text).getTime() - now) / 1000;
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return AGO.format(Math.round(seconds / size), unit);
}

/** A span of seconds, to two units at most: "1 h 5 min". */
export function duration(seconds) {
  if (seconds < 1) return "0 s";
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) {
    const minutes = Math.floor((seconds % 3_600) / 60);
    return `${Math.floor(seconds / 3_600)} h${minutes ? ` ${minutes} min` : ""}`;
  }
  return `${Math.floor(seconds / 86_400)} d`;
}

/** A score or a difference with its sign; chance is 0. */
export function score(value, digits = 2) {
  if (value === null || value === undefined) return "–";
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
}

export const percent = (share) => `${Math.round(share * 100)} %`;
