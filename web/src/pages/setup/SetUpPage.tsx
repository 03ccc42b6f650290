import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { sessionQuery } from '../../api/queries';
import { Loading } from '../../components/Loading';
import { Single } from '../../layout/Single';
import { AdministratorStep } from './AdministratorStep';
import { FirstBackupStep } from './FirstBackupStep';
import { RecoveryKitStep } from './RecoveryKitStep';

/** First set-up: an administrator, the recovery kit saved, a first backup. */
export default function SetUpPage() {
  const session = useQuery(sessionQuery);
  const [kitSaved, setKitSaved] = useState(false);
  const navigate = useNavigate();
  if (session.isPending) return <Loading what="the set-up" />;
  if (!session.data) {
    return (
      <Single title="Set up Strongroom" lead="Step 1 of 3: the first administrator.">
        <AdministratorStep />
      </Single>
    );
  }
  if (!kitSaved) {
    return (
      <Single title="Save the recovery kit" lead="Step 2 of 3: what opens your backups when this machine is gone.">
        <RecoveryKitStep onSaved={() => setKitSaved(true)} />
      </Single>
    );
  }
  return (
    <Single title="Make the first backup" lead="Step 3 of 3: nothing is protected before it.">
      <FirstBackupStep onDone={() => void navigate('/')} />
    </Single>
  );
}
