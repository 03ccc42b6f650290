import { Anchor } from '@mantine/core';
import { Link } from 'react-router';
import { PageHeader } from '../components/PageHeader';

export default function NotFoundPage() {
  return (
    <>
      <PageHeader title="There is no such page" />
      <Anchor component={Link} to="/">
        Go to the overview
      </Anchor>
    </>
  );
}
