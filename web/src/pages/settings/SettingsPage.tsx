import { Tabs } from '@mantine/core';
import { useNavigate, useParams } from 'react-router';
import { Notice } from '../../components/Notice';
import { PageHeader } from '../../components/PageHeader';
import { Panel } from '../../components/Panel';
import { useSession } from '../../hooks/useSession';
import { Account } from './Account';
import { Configuration } from './Configuration';
import { Keys } from './Keys';
import { Notifications } from './Notifications';
import { People } from './People';
import { Protected } from './Protected';
import { Stores } from './Stores';
import { Tokens } from './Tokens';

const TABS = [
  { value: 'components', label: 'Components', admin: false, Part: Protected },
  { value: 'stores', label: 'Stores', admin: false, Part: Stores },
  { value: 'notifications', label: 'Notifications', admin: false, Part: Notifications },
  { value: 'account', label: 'Your account', admin: false, Part: Account },
  { value: 'people', label: 'People', admin: true, Part: People },
  { value: 'tokens', label: 'Tokens', admin: true, Part: Tokens },
  { value: 'keys', label: 'Keys', admin: true, Part: Keys },
  { value: 'configuration', label: 'Configuration', admin: true, Part: Configuration },
];

export default function SettingsPage() {
  const { tab = 'components' } = useParams();
  const { isAdmin } = useSession();
  const navigate = useNavigate();
  const tabs = TABS.filter(({ admin }) => isAdmin || !admin);
  const hidden = TABS.find(({ value }) => value === tab && !tabs.some((one) => one.value === value));
  return (
    <>
      <PageHeader title="Settings" />
      <Panel>
        <Tabs value={tab} onChange={(value) => void navigate(`/settings/${value}`)} keepMounted={false}>
          <Tabs.List mb="md">
            {tabs.map(({ value, label }) => (
              <Tabs.Tab key={value} value={value}>
                {label}
              </Tabs.Tab>
            ))}
          </Tabs.List>
          {hidden && <Notice tone="info" title={`Only administrators see ${hidden.label.toLowerCase()}`} />}
          {tabs.map(({ value, Part }) => (
            <Tabs.Panel key={value} value={value}>
              <Part />
            </Tabs.Panel>
          ))}
        </Tabs>
      </Panel>
    </>
  );
}
