import { createTheme, type CSSVariablesResolver, type MantineColorsTuple } from '@mantine/core';

const steel: MantineColorsTuple = [
  '#eff4f9',
  '#dde7f0',
  '#bacee1',
  '#93b2d0',
  '#7299c1',
  '#5a87b5',
  '#457ab0',
  '#34669a',
  '#285481',
  '#1b4168',
];

/** Bluish greys, of the same family as the dark surfaces below. */
const dark: MantineColorsTuple = [
  '#dfe5ea',
  '#b9c3cc',
  '#939eaa',
  '#6b7682',
  '#414c57',
  '#323c46',
  '#232b34',
  '#1a2027',
  '#141a20',
  '#0f1418',
];

export const theme = createTheme({
  colors: { steel, dark },
  primaryColor: 'steel',
  primaryShade: { light: 8, dark: 7 },
  defaultRadius: 'md',
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
  headings: { fontWeight: '650', sizes: { h1: { fontSize: '1.6rem' }, h2: { fontSize: '1.1rem' }, h3: { fontSize: '1rem' } } },
  cursorType: 'pointer',
  respectReducedMotion: true,
});

/** Colours with enough contrast (4.5 to 1 at least) on every surface that they are used on. */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-body': '#ffffff',
    '--mantine-color-text': '#1b2733',
    '--mantine-color-dimmed': '#55626f',
    '--mantine-color-error': '#a61b1b',
    '--mantine-color-placeholder': '#66727f',
    '--mantine-color-anchor': '#1f5788',
    '--page': '#f4f6f8',
    '--line': '#d9dfe5',
    '--proven': '#17663a',
    '--proven-soft': '#e2f3e8',
    '--info': '#1f5788',
    '--info-soft': '#e6eff7',
    '--busy': '#5b3f9e',
    '--busy-soft': '#eeeaf8',
    '--warn': '#7d4a00',
    '--warn-soft': '#fdf0d9',
    '--bad': '#a61b1b',
    '--bad-soft': '#fbe7e7',
    '--idle': '#55626f',
    '--idle-soft': '#eceff2',
  },
  dark: {
    '--mantine-color-body': '#1a2027',
    '--mantine-color-text': '#dfe5ea',
    '--mantine-color-dimmed': '#a2adb8',
    '--mantine-color-error': '#ff9c9c',
    '--mantine-color-placeholder': '#98a3ae',
    '--mantine-color-anchor': '#8fbbe3',
    '--page': '#12171c',
    '--line': '#343d47',
    '--proven': '#7fd6a0',
    '--proven-soft': '#173324',
    '--info': '#8fbbe3',
    '--info-soft': '#1a2f42',
    '--busy': '#bfaaf2',
    '--busy-soft': '#2a2341',
    '--warn': '#f0bf6b',
    '--warn-soft': '#3a2c12',
    '--bad': '#ff9c9c',
    '--bad-soft': '#421e20',
    '--idle': '#a2adb8',
    '--idle-soft': '#29313a',
  },
});
