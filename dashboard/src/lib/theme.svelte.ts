// Dark or light: what the system says, unless the reader chose.

type Choice = 'system' | 'light' | 'dark';

const stored = localStorage.getItem('theme');
export const theme = $state({ choice: (stored === 'light' || stored === 'dark' ? stored : 'system') as Choice, turn: 0 });

const dark = matchMedia('(prefers-color-scheme: dark)');

export function apply(): void {
  const isDark = theme.choice === 'dark' || (theme.choice === 'system' && dark.matches);
  document.documentElement.dataset['theme'] = isDark ? 'dark' : 'light';
  theme.turn += 1;
}

export function next(): void {
  theme.choice = theme.choice === 'system' ? 'dark' : theme.choice === 'dark' ? 'light' : 'system';
  if (theme.choice === 'system') localStorage.removeItem('theme');
  else localStorage.setItem('theme', theme.choice);
  apply();
}

dark.addEventListener('change', apply);
apply();
