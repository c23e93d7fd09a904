import { textOf } from './read.ts';
import type { Facts } from './read.ts';

/** Takes on the host's colours, fonts and theme; the system's theme where the host names none. */
export function applyTheme(theme: 'light' | 'dark' | undefined, variables: Facts): void {
  const { style, dataset } = document.documentElement;
  dataset['theme'] = theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
  for (const name of Object.keys(variables)) {
    const value = textOf(variables, name);
    // Only what the specification calls a style variable, and nothing that would load something.
    if (
      value !== undefined &&
      /^--(?:color|font|border|shadow)-[a-z0-9-]+$/.test(name) &&
      !/url\(|image\(/i.test(value)
    )
      style.setProperty(name, value);
  }
}
